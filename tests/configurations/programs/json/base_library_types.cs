using System;
using System.Collections.Generic;
using System.Collections.ObjectModel;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

/// <summary>Types of the base library, which the serializer looks at by reflection.</summary>
public sealed class Program : MinimalRuntime.IFunctionHandler
{
    private static readonly JsonSerializerOptions WithFields = new() { IncludeFields = true };

    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var text = Encoding.UTF8.GetString(input);
        var lines = new StringBuilder();
        Simple(lines, text);
        Collections(lines, text);
        Shapes(lines, text);
        return Encoding.UTF8.GetBytes(lines.ToString());
    }

    private static void Simple(StringBuilder lines, string text)
    {
        There(lines, text.Length % 2 == 0);
        There(lines, (byte)200);
        There(lines, (sbyte)-3);
        There(lines, (short)-300);
        There(lines, (ushort)300);
        There(lines, -70_000);
        There(lines, 70_000u);
        There(lines, long.MinValue);
        There(lines, ulong.MaxValue);
        There(lines, 0.1f);
        There(lines, 1e300);
        There(lines, 12.50m);
        There(lines, 'x');
        There(lines, text);
        There(lines, new DateTime(2026, 11, 22, 1, 2, 3, DateTimeKind.Utc));
        There(lines, new DateTimeOffset(2026, 11, 22, 1, 2, 3, TimeSpan.FromHours(-5)));
        There(lines, new DateOnly(2026, 2, 28));
        There(lines, new TimeOnly(23, 59, 58));
        There(lines, TimeSpan.FromSeconds(-90061.5));
        There(lines, new Guid("00112233-4455-6677-8899-aabbccddeeff"));
        There(lines, new Uri("https://example.org/a?b=c#d"));
        There(lines, new Version(1, 2, 3, 4));
        There(lines, DayOfWeek.Friday);
        There(lines, new byte[] { 1, 2, 250 });
        There(lines, (int?)null);
        There(lines, (DateTime?)DateTime.UnixEpoch);
    }

    private static void Collections(StringBuilder lines, string text)
    {
        var words = text.Split(' ');
        There(lines, words);
        There(lines, new List<string>(words));
        There(lines, new HashSet<int> { 3, 1, 3 });
        There(lines, new Queue<int>([1, 2]));
        There(lines, new Stack<int>([1, 2]));
        There(lines, new Dictionary<string, object?> { ["n"] = null, ["t"] = true });
        There(lines, new Dictionary<int, string> { [5] = "five" });
        There(lines, new Dictionary<DayOfWeek, int> { [DayOfWeek.Monday] = 1 });
        There(lines, new Dictionary<Guid, Version> { [Guid.Empty] = new(1, 0) });
        There(lines, (IEnumerable<int>)new[] { 1, 2 });
        There(lines, (IReadOnlyList<int>)new[] { 1, 2 });
        There(lines, (ISet<int>)new HashSet<int> { 7 });
        There(lines, (IReadOnlyDictionary<string, int>)new Dictionary<string, int> { ["k"] = 1 });
        There(lines, new int[][] { [1], [], [2, 3] });
        There(lines, (ReadOnlyMemory<byte>)new byte[] { 9, 8 });
        lines.Append(JsonSerializer.Serialize(new ReadOnlyCollection<int>([1, 2]))).Append('\n');
        lines.Append(JsonSerializer.Serialize(new ArraySegment<int>([1, 2, 3], 1, 2))).Append('\n');
    }

    private static void Shapes(StringBuilder lines, string text)
    {
        There(lines, new KeyValuePair<string, int>("key", 1));
        There(lines, new List<KeyValuePair<int, Uri>> { new(1, new Uri("/x", UriKind.Relative)) });
        There(lines, Tuple.Create(1, text));
        There(lines, Tuple.Create(1, Tuple.Create("in", 2.5)));
        There(lines, (1, text), WithFields);
        There(lines, (Name: "x", Inner: (Left: 1, Right: (Guid?)null)), WithFields);
        There(lines, new { Anonymous = true, At = DateOnly.MinValue, Many = new[] { (1, 2) } }, WithFields);
        There(lines, JsonNode.Parse("""{"a": [1, {"b": null}]}"""));
        There(lines, JsonDocument.Parse("[1, 2.50, \"x\"]").RootElement);
        There(lines, new Holder { Any = 3, Element = JsonDocument.Parse("{\"q\":1}").RootElement, Node = new JsonArray(1, 2) });
        try
        {
            JsonSerializer.Deserialize<Version>("\"1.2.x\"");
        }
        catch (JsonException e)
        {
            lines.Append(e.Message).Append('\n');
        }

        try
        {
            JsonSerializer.Serialize(typeof(string));
        }
        catch (NotSupportedException e)
        {
            lines.Append(e.Message).Append('\n');
        }
    }

    /// <summary>There and back and there again.</summary>
    private static void There<T>(StringBuilder lines, T value, JsonSerializerOptions? options = null)
    {
        var json = JsonSerializer.Serialize(value, options);
        var back = JsonSerializer.Deserialize<T>(json, options);
        lines.Append(typeof(T).Name).Append(' ').Append(json).Append(' ');
        lines.Append(JsonSerializer.Serialize(back, options)).Append('\n');
    }

    private sealed class Holder
    {
        public object? Any { get; set; }

        public JsonElement Element { get; set; }

        public JsonArray? Node { get; set; }

        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public string? Nothing { get; set; }
    }
}
