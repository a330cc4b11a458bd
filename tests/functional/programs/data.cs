using System;
using System.Collections;
using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Xml;
using System.Xml.Linq;
using System.Xml.Serialization;
using System.Xml.XPath;

namespace Programs;

public enum Status
{
    Open,
    Paid,
    Cancelled,
}

public sealed record Line(string Article, int Quantity, decimal Price)
{
    [JsonIgnore]
    public decimal Total => Quantity * Price;
}

[JsonDerivedType(typeof(Card), "card")]
[JsonDerivedType(typeof(Transfer), "transfer")]
public abstract class Payment
{
    public DateTimeOffset? At { get; set; }
}

public sealed class Card : Payment
{
    public string Number { get; set; } = "";
}

public sealed class Transfer : Payment
{
    public required string Iban { get; init; }
}

public sealed class Order
{
    public Guid Id { get; set; }

    [JsonPropertyName("who")]
    public string Customer { get; set; } = "";

    public Status Status { get; set; }

    public List<Line> Lines { get; set; } = [];

    public Dictionary<string, double[]> Measures { get; set; } = [];

    public Payment? Payment { get; set; }

    public int? Rating { get; set; }

    public byte[] Blob { get; set; } = [];

    [JsonExtensionData]
    public Dictionary<string, JsonElement>? Rest { get; set; }
}

/// <summary>Reads an order by reflection, changes it, and writes it by reflection.</summary>
public sealed class JsonOrders : MinimalRuntime.IFunctionHandler
{
    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web)
    {
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var order = JsonSerializer.Deserialize<Order>(input, Options)!;
        order.Status = order.Status == Status.Open ? Status.Paid : Status.Cancelled;
        order.Measures["total"] = [(double)order.Lines.Sum(l => l.Total)];
        order.Lines.Reverse();
        return JsonSerializer.SerializeToUtf8Bytes(order, Options);
    }
}

/// <summary>Any JSON through the mutable document model and back.</summary>
public sealed class JsonNodes : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var node = JsonNode.Parse(input);
        return Encoding.UTF8.GetBytes(new JsonArray(node?.DeepClone(), JsonNode.DeepEquals(node, node?.DeepClone())).ToJsonString());
    }
}

/// <summary>Every collection, used for what it is good at.</summary>
public sealed class Collections : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var numbers = question.EnumerateArray().Select(e => e.GetInt32()).ToArray();
        var sorted = new SortedDictionary<int, int>();
        var counts = new Dictionary<int, int>();
        var queue = new PriorityQueue<int, int>();
        var concurrent = new ConcurrentDictionary<int, int>();
        var linked = new LinkedList<int>();
        foreach (var (number, index) in numbers.Select((n, i) => (n, i)))
        {
            sorted[number] = index;
            counts[number] = counts.GetValueOrDefault(number) + 1;
            queue.Enqueue(index, number);
            concurrent.AddOrUpdate(number, 1, (_, n) => n + 1);
            if (index % 2 == 0)
            {
                linked.AddFirst(number);
            }
            else
            {
                linked.AddLast(number);
            }
        }

        var drained = new List<int>();
        while (queue.TryDequeue(out _, out var priority))
        {
            drained.Add(priority);
        }

        var half = numbers.Take(numbers.Length / 2).ToHashSet();
        var immutable = ImmutableSortedSet.CreateRange(numbers);
        var bits = new BitArray(64);
        foreach (var number in numbers)
        {
            bits[number & 63] = true;
        }

        return new
        {
            Sorted = sorted.Select(p => new[] { p.Key, p.Value }).ToArray(),
            Counts = counts.ToDictionary(p => p.Key.ToString(), p => p.Value),
            Drained = drained,
            Concurrent = concurrent.Count,
            Linked = linked.ToArray(),
            Stack = new Stack<int>(numbers).ToArray(),
            Queue = new Queue<int>(numbers).ToArray(),
            Union = numbers.ToHashSet().Union(half).Count(),
            Difference = numbers.ToHashSet().Except(half).Order().ToArray(),
            Immutable = immutable.Remove(numbers.FirstOrDefault()).ToArray(),
            Untouched = immutable.Count,
            Frozen = numbers.Distinct().ToFrozenDictionary(n => n, n => n * 2).Values.Sum(),
            Bits = bits.Cast<bool>().Count(b => b),
            Search = Array.BinarySearch(numbers.Order().ToArray(), numbers.LastOrDefault()) >= 0,
        };
    }
}

[XmlRoot("catalogue")]
public sealed class Catalogue
{
    [XmlAttribute("year")]
    public int Year { get; set; }

    [XmlElement("book")]
    public List<Book> Books { get; set; } = [];
}

public sealed class Book
{
    [XmlAttribute("isbn")]
    public string Isbn { get; set; } = "";

    [XmlElement("title")]
    public string Title { get; set; } = "";
}

/// <summary>Reads a catalogue in four ways and writes another one.</summary>
public sealed class Xml : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var text = question.GetString()!;
        var document = XDocument.Parse(text);
        XNamespace extra = "urn:extra";
        var serializer = new XmlSerializer(typeof(Catalogue));
        var catalogue = (Catalogue)serializer.Deserialize(new StringReader(text))!;
        using var reader = XmlReader.Create(new StringReader(text));
        var elements = 0;
        while (reader.Read())
        {
            elements += reader.NodeType == XmlNodeType.Element ? 1 : 0;
        }

        document.Root!.Add(new XElement(extra + "note", new XAttribute("lang", "en"), "a < b & c"));
        return new
        {
            Titles = document.Descendants("book").OrderBy(b => (string)b.Element("title")!, StringComparer.Ordinal).Select(b => b.Element("title")!.Value).ToArray(),
            ByPath = document.XPathSelectElements("//book[@isbn='2']/title").Select(e => e.Value).ToArray(),
            Serialized = catalogue.Books.Select(b => b.Isbn).ToArray(),
            catalogue.Year,
            Elements = elements,
            Written = document.ToString(SaveOptions.DisableFormatting),
        };
    }
}
