// Collections through System.Text.Json, which finds how to make them by reflection.
using System;
using System.Collections;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Collections.ObjectModel;
using System.Linq;
using System.Text.Json;

public sealed record Item(string Name, int Count);

public sealed class Collections : MinimalRuntime.IFunctionHandler
{
    private static readonly Dictionary<string, Func<string>> Cases = new()
    {
        ["Anonymous"] = () => Write(new { a = 1, b = new { c = ImmutableStack.Create(2) } }),
        ["ArrayList"] = () => Read<ArrayList>("[1,2]"),
        ["Collection"] = () => Read<Collection<int>>("[2,1]"),
        ["ConcurrentBag"] = () => Read<ConcurrentBag<int>>("[1]"),
        ["ConcurrentDictionary"] = () => Read<ConcurrentDictionary<string, int>>("""{"a":1}"""),
        ["ConcurrentQueue"] = () => Read<ConcurrentQueue<int>>("[1,2]"),
        ["ConcurrentStack"] = () => Read<ConcurrentStack<int>>("[1,2]"),
        ["Group"] = () => Write(new[] { 1, 2 }.GroupBy(x => x % 2)),
        ["Hashtable"] = () => Read<Hashtable>("""{"a":1}"""),
        ["IDictionary"] = () => Read<IDictionary>("""{"a":1}"""),
        ["IList"] = () => Read<IList>("[1]"),
        ["IReadOnlyDictionary"] = () => Read<IReadOnlyDictionary<string, int>>("""{"a":1}"""),
        ["ISet"] = () => Read<ISet<int>>("[1]"),
        ["ImmutableArray"] = () => Read<ImmutableArray<int>>("[1,2]"),
        ["ImmutableDictionary"] = () => Read<ImmutableDictionary<string, int>>("""{"a":1}"""),
        ["ImmutableHashSet"] = () => Read<ImmutableHashSet<int>>("[1,1]"),
        ["ImmutableList"] = () => Read<ImmutableList<Item>>("""[{"Name":"a","Count":1}]"""),
        ["ImmutableQueue"] = () => Read<ImmutableQueue<int>>("[1,2]"),
        ["ImmutableSortedDictionary"] = () => Read<ImmutableSortedDictionary<string, int>>("""{"b":1,"a":2}"""),
        ["ImmutableSortedSet"] = () => Read<ImmutableSortedSet<int>>("[2,1,1]"),
        ["ImmutableStack"] = () => Read<ImmutableStack<int>>("[1,2]"),
        ["LinkedList"] = () => Read<LinkedList<int>>("[2,1]"),
        ["Memory"] = () => Read<Memory<int>>("[1]"),
        ["Nested"] = () => Read<List<Dictionary<string, ImmutableArray<Item>>>>("""[{"x":[{"Name":"a","Count":1}]}]"""),
        ["Nullable"] = () => Read<int?[]>("[1,null]"),
        ["ObservableCollection"] = () => Read<ObservableCollection<int>>("[2,1]"),
        ["Pairs"] = () => Read<List<KeyValuePair<string, int>>>("""[{"Key":"a","Value":1}]"""),
        ["Queue"] = () => Read<Queue>("[1,2]"),
        ["ReadOnlyCollection"] = () => Write(new ReadOnlyCollection<int>(new List<int> { 1 })),
        ["SortedDictionary"] = () => Read<SortedDictionary<string, int>>("""{"a":1}"""),
        ["SortedSet"] = () => Read<SortedSet<int>>("[2,1]"),
        ["Stack"] = () => Read<Stack>("[1,2]"),
        ["Tuple"] = () => Read<Tuple<int, string>>("""{"Item1":1,"Item2":"a"}"""),
    };

    public byte[] Execute(ReadOnlySpan<byte> input) =>
        JsonSerializer.SerializeToUtf8Bytes(Cases.ToDictionary(entry => entry.Key, entry => Try(entry.Value)));

    private static string Try(Func<string> action)
    {
        try { return action(); }
        catch (NotSupportedException error) { return error.Message; }
    }

    private static string Read<T>(string text)
    {
        var value = JsonSerializer.Deserialize<T>(text)!;
        return value.GetType().Name + JsonSerializer.Serialize(value);
    }

    private static string Write<T>(T value) => JsonSerializer.Serialize(value);
}
