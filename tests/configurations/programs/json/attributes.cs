using System;
using System.Collections.Generic;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Shop;

[JsonConverter(typeof(JsonStringEnumConverter<Status>))]
public enum Status
{
    Open,
    [JsonStringEnumMemberName("in-transit")]
    InTransit,
    Closed,
}

[Flags]
public enum Options
{
    None = 0,
    Gift = 1,
    Express = 2,
}

[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(Book), "book")]
[JsonDerivedType(typeof(Tool), "tool")]
public abstract record Item(string Name, decimal Price);

public sealed record Book(string Name, decimal Price, string[] Authors) : Item(Name, Price);

public sealed record Tool(string Name, decimal Price) : Item(Name, Price)
{
    [JsonPropertyName("weight_kg")]
    public double? Weight { get; init; }
}

public readonly record struct Money(decimal Amount, string Currency);

public sealed class MoneyConverter : JsonConverter<Money>
{
    public override Money Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options) =>
        reader.GetString()!.Split(' ') is [var amount, var currency]
            ? new Money(decimal.Parse(amount, System.Globalization.CultureInfo.InvariantCulture), currency)
            : throw new JsonException("not money");

    public override void Write(Utf8JsonWriter writer, Money value, JsonSerializerOptions options) =>
        writer.WriteStringValue($"{value.Amount} {value.Currency}");
}

public sealed class Order
{
    [JsonConstructor]
    public Order(int id, IReadOnlyList<Item> items) => (this.Id, this.Items) = (id, items);

    [JsonPropertyOrder(-1)]
    public int Id { get; }

    public IReadOnlyList<Item> Items { get; }

    public required Status Status { get; set; }

    public Options Options { get; set; }

    [JsonConverter(typeof(MoneyConverter))]
    public Money Total { get; set; }

    [JsonInclude]
    public string? Comment;

    [JsonIgnore]
    public string Secret { get; set; } = "secret";

    [JsonNumberHandling(JsonNumberHandling.WriteAsString | JsonNumberHandling.AllowReadingFromString)]
    public long Ticket { get; set; }

    public Order? Previous { get; set; }

    [JsonExtensionData]
    public Dictionary<string, JsonElement>? More { get; set; }
}

/// <summary>What attributes and options make of the caller's own types.</summary>
public sealed class Program : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var order = new Order(7, [new Book("B & \"b\"", 12.5m, ["ä", Encoding.UTF8.GetString(input)]), new Tool("T", 3m) { Weight = 0.5 }])
        {
            Status = Status.InTransit,
            Options = Options.Gift | Options.Express,
            Total = new Money(15.5m, "EUR"),
            Comment = "<none>",
            Ticket = 1L << 60,
            Previous = new Order(6, []) { Status = Status.Closed },
        };
        var lines = new List<string>();
        foreach (var options in All())
        {
            var json = JsonSerializer.Serialize(order, options);
            var back = JsonSerializer.Deserialize<Order>(json, options)!;
            lines.Add(json);
            lines.Add($"{back.Items[0]} {back.Items[1]} {back.Total} {back.Options} {back.Previous!.Status} {back.Secret}");
        }

        var extended = JsonSerializer.Deserialize<Order>("""{"Id":1,"Items":[],"Status":"Open","new":[1,2],"Total":"1 X"}""")!;
        lines.Add($"{extended.More!["new"]} {JsonSerializer.Serialize(extended)}");
        foreach (var bad in (string[])["{}", "{\"Id\":1,\"Items\":[{\"kind\":\"car\"}],\"Status\":\"Open\"}", "{\"Status\":\"Lost\"}", "{\"Status\":\"Open\",\"Total\":\"x\"}", "nul"])
        {
            try
            {
                JsonSerializer.Deserialize<Order>(bad);
                lines.Add("accepted");
            }
            catch (Exception e) when (e is JsonException or NotSupportedException)
            {
                lines.Add(e.Message);
            }
        }

        return Encoding.UTF8.GetBytes(string.Join('\n', lines));
    }

    private static IEnumerable<JsonSerializerOptions> All()
    {
        yield return new JsonSerializerOptions();
        yield return new JsonSerializerOptions(JsonSerializerDefaults.Web) { WriteIndented = true };
        yield return new JsonSerializerOptions
        {
            PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
            DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault,
            Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
            Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseUpper) },
        };
        yield return new JsonSerializerOptions { ReferenceHandler = ReferenceHandler.IgnoreCycles, IncludeFields = true };
    }
}
