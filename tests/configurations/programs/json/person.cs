using System; using System.Collections.Generic; using System.Globalization; using System.Text;
using System.Threading.Tasks;
using System.Text.Json; using System.Text.Json.Nodes;
public sealed class Program : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var o = new StringBuilder();
        Run(Encoding.UTF8.GetString(input), o);
        return Encoding.UTF8.GetBytes(o.ToString());
    }
    static void Run(string text, StringBuilder o) {
        var person = new Person("Ada", 36, new() { "x", text }, new() { ["k"] = 1.5 }, null);
        var json = JsonSerializer.Serialize(person);
        o.Append(json).Append(JsonSerializer.Deserialize<Person>(json)!.Age);
        o.Append(JsonSerializer.Serialize(person, new JsonSerializerOptions {
            PropertyNamingPolicy = JsonNamingPolicy.CamelCase, WriteIndented = true }));
        using var document = JsonDocument.Parse(json);
        o.Append(document.RootElement.GetProperty("Tags")[1].GetString());
        o.Append(JsonNode.Parse("[1,{\"a\":null}]")!.ToJsonString());
        o.Append(JsonSerializer.Serialize(new object[] { 1, "a", 2.5m, true, new DateTime(2024, 1, 2), Kind.B }));
        try { JsonSerializer.Deserialize<int[]>("[1,"); } catch (JsonException e) { o.Append(e.Message); }
    }
    public enum Kind { A, B }
    public record Person(string Name, int Age, List<string> Tags, Dictionary<string, double> Map, int? None);
}
