using System;
using System.Buffers.Text;
using System.Collections;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;

namespace Structures;

/// <summary>A cache that forgets what was not used for longest.</summary>
public sealed class Cache<TKey, TValue>(int capacity) : IEnumerable<KeyValuePair<TKey, TValue>>
    where TKey : notnull
{
    private readonly Dictionary<TKey, (TValue Value, long Used)> entries = new(capacity);
    private long clock;

    public int Misses { get; private set; }

    public TValue Get(TKey key, Func<TKey, TValue> make)
    {
        ref var entry = ref CollectionsMarshal.GetValueRefOrAddDefault(entries, key, out var exists);
        if (!exists)
        {
            Misses++;
            entry.Value = make(key);
        }

        entry.Used = ++clock;
        var result = entry.Value;
        if (entries.Count > capacity)
        {
            Forget();
        }

        return result;
    }

    public IEnumerator<KeyValuePair<TKey, TValue>> GetEnumerator()
    {
        foreach (var (key, (value, _)) in entries)
        {
            yield return new(key, value);
        }
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private void Forget()
    {
        var oldest = default(TKey)!;
        var least = long.MaxValue;
        foreach (var (key, (_, used)) in entries)
        {
            (oldest, least) = used < least ? (key, used) : (oldest, least);
        }

        entries.Remove(oldest);
    }
}

public sealed class Graph
{
    private readonly SortedEdges edges = new();

    public void Add(string from, string to, int cost)
    {
        edges.Add((from, to, cost));
        edges.Add((to, from, cost));
    }

    public Dictionary<string, int> Distances(string start)
    {
        var distances = new Dictionary<string, int> { [start] = 0 };
        var pending = new Queue<string>([start]);
        while (pending.TryDequeue(out var here))
        {
            foreach (var (from, to, cost) in edges.Items)
            {
                if (from == here && (!distances.TryGetValue(to, out var known) || distances[here] + cost < known))
                {
                    distances[to] = distances[here] + cost;
                    pending.Enqueue(to);
                }
            }
        }

        return distances;
    }

    private sealed class SortedEdges
    {
        public List<(string From, string To, int Cost)> Items { get; } = [];

        public void Add((string From, string To, int Cost) edge)
        {
            var index = Items.BinarySearch(edge, Comparer<(string From, string To, int Cost)>.Create(
                (a, b) => string.CompareOrdinal(a.From + a.To, b.From + b.To)));
            Items.Insert(index < 0 ? ~index : index, edge);
        }
    }
}

/// <summary>Collections, hashing, sorting, bits and spans over what it is given.</summary>
public sealed class Program : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var text = new StringBuilder();
        var cache = new Cache<byte, int>(8);
        var sum = 0;
        foreach (var b in input)
        {
            sum += cache.Get(b, static key => key * key);
        }

        text.Append(sum).Append('/').Append(cache.Misses).AppendLine();
        var keys = new List<int>();
        foreach (var (key, value) in cache)
        {
            keys.Add(key + value);
        }

        keys.Sort((a, b) => b.CompareTo(a));
        text.AppendJoin(',', keys).AppendLine();

        var graph = new Graph();
        for (var i = 2; i < input.Length; i++)
        {
            graph.Add($"n{input[i] % 16}", $"n{input[i - 1] % 16}", input[i - 2] % 7 + 1);
        }

        var distances = new List<KeyValuePair<string, int>>(graph.Distances("n0"));
        distances.Sort((a, b) => string.CompareOrdinal(a.Key, b.Key));
        text.AppendJoin(' ', distances).AppendLine();

        var set = new HashSet<int>();
        foreach (var b in input)
        {
            set.Add(b & 0xF0);
        }

        var other = new HashSet<int> { 0x60, 0x70, 0x10 };
        text.Append(set.Count).Append(set.Overlaps(other)).Append(set.IsSubsetOf(other));
        other.IntersectWith(set);
        text.Append(other.Count).AppendLine();

        Span<byte> copy = stackalloc byte[Math.Min(input.Length, 64)];
        input[..copy.Length].CopyTo(copy);
        copy.Sort();
        copy.Reverse();
        text.Append(Convert.ToHexString(copy)).Append(copy.IndexOf((byte)'a')).Append(copy.Contains((byte)'z')).AppendLine();
        text.Append(Convert.ToBase64String(copy)).AppendLine();
        uint hash = 2166136261;
        foreach (var b in input)
        {
            hash = (hash ^ b) * 16777619;
        }

        text.Append(hash).Append(' ').Append(hash.ToString("x8")).Append(' ').Append(BitConverter.ToString(BitConverter.GetBytes(hash)));
        var jagged = new int[3][];
        var cube = new int[2, 3, 4];
        for (var i = 0; i < 24; i++)
        {
            cube[i / 12, i / 4 % 3, i % 4] = i * input.Length;
        }

        Array.Fill(jagged, [1, 2]);
        text.Append(cube[1, 2, 3]).Append(jagged[2].Length).Append(cube.Length).Append(cube.GetLength(1)).Append(Array.IndexOf(jagged, jagged[1]));
        Memory<int> memory = new int[] { 5, 1, 4 };
        memory.Span[1..].Sort();
        text.AppendLine().AppendJoin('-', memory.ToArray());
        text.Append(new ArraySegment<int>([1, 2, 3, 4], 1, 2)[1]).Append((1, "x", 2.5).ToString()).Append((1, 2).CompareTo((1, 3)));
        return Encoding.UTF8.GetBytes(text.ToString());
    }
}
