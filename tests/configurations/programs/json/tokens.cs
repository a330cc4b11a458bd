using System;
using System.Buffers;
using System.Collections.Generic;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

/// <summary>Reader, writer, documents and nodes, without the serializer.</summary>
public sealed class Program : MinimalRuntime.IFunctionHandler
{
    private const string Sample = """{"a": [1, -2.5e3, true, null, "é\u0041\n"], /* why */ "b": {"c": {}}, "a": 2}""";

    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var lines = new List<string> { Read(Sample), Read("[1,]"), Read("{\"x\" 1}") };
        lines.Add(Write(Encoding.UTF8.GetString(input), indented: false));
        lines.Add(Write(Encoding.UTF8.GetString(input), indented: true));
        lines.Add(Documents());
        lines.Add(Nodes());
        return Encoding.UTF8.GetBytes(string.Join('\n', lines));
    }

    private static string Read(string json)
    {
        var text = new StringBuilder();
        var reader = new Utf8JsonReader(Encoding.UTF8.GetBytes(json), new JsonReaderOptions { CommentHandling = JsonCommentHandling.Allow });
        try
        {
            while (reader.Read())
            {
                text.Append(reader.TokenType).Append('@').Append(reader.TokenStartIndex).Append(':').Append(reader.CurrentDepth);
                if (reader.TokenType is JsonTokenType.String or JsonTokenType.PropertyName)
                {
                    text.Append(reader.GetString());
                }
                else if (reader.TokenType == JsonTokenType.Number)
                {
                    text.Append(reader.TryGetInt32(out var number) ? number : reader.GetDouble());
                }

                text.Append(' ');
            }
        }
        catch (JsonException e)
        {
            text.Append(e.Message);
        }

        return text.ToString();
    }

    private static string Write(string text, bool indented)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = indented }))
        {
            writer.WriteStartObject();
            writer.WriteString("text", text);
            writer.WriteNumber("pi", 3.14m);
            writer.WriteBoolean("yes", true);
            writer.WriteNull("no");
            writer.WriteStartArray("many");
            writer.WriteNumberValue(ulong.MaxValue);
            writer.WriteBase64StringValue([1, 2, 3]);
            writer.WriteRawValue("{\"raw\":[]}");
            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static string Documents()
    {
        using var document = JsonDocument.Parse(Sample, new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip });
        var root = document.RootElement;
        var text = new StringBuilder();
        foreach (var property in root.EnumerateObject())
        {
            text.Append(property.Name).Append('=').Append(property.Value.ValueKind).Append(property.Value.GetRawText()).Append(';');
        }

        text.Append(root.TryGetProperty("missing", out _)).Append(root.GetProperty("b").GetProperty("c"));
        text.Append(JsonElement.DeepEquals(root, root.Clone()));
        return text.ToString();
    }

    private static string Nodes()
    {
        var node = JsonNode.Parse("""{"list": [1, 2, 3], "name": "n"}""")!.AsObject();
        node["list"]!.AsArray().RemoveAt(1);
        node["added"] = new JsonObject { ["deep"] = JsonValue.Create(1.5), ["none"] = null };
        node.Remove("name");
        return node.ToJsonString() + node["added"]!.GetPath() + node["list"]![1]!.GetValue<int>() + node.DeepClone().ToJsonString().Length;
    }
}
