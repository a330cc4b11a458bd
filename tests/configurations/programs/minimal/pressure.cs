using System;
using System.Collections.Generic;
using System.Text;

namespace Pressure;

public sealed class Node(int value)
{
    public readonly int Value = value;
    public Node? Left;
    public Node? Right;
    public byte[] Ballast = new byte[value % 97];

    public static Node? Build(int depth, int seed) =>
        depth == 0 ? null : new Node(seed) { Left = Build(depth - 1, seed * 3 + 1), Right = Build(depth - 1, seed * 5 + 2) };

    public long Sum() => Value + Ballast.Length + (Left?.Sum() ?? 0) + (Right?.Sum() ?? 0);
}

public sealed class Counted
{
    public static int Finalized;

    ~Counted() => Finalized++;
}

/// <summary>Garbage of all sizes, survivors among it, and memory that has to grow.</summary>
public sealed class Program : MinimalRuntime.IFunctionHandler
{
    private static readonly List<Node> Survivors = [];

    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var text = new StringBuilder();
        var random = 12345u + (uint)input.Length;
        long total = 0;
        for (var round = 0; round < 120; round++)
        {
            random = random * 1664525 + 1013904223;
            var tree = Node.Build(9, (int)(random >> 20))!;
            total += tree.Sum();
            if (round % 20 == 0)
            {
                Survivors.Add(tree);
            }

            var strings = new List<string>();
            for (var i = 0; i < 50; i++)
            {
                strings.Add(new string((char)('a' + i % 26), i) + i);
            }

            total += string.Concat(strings).Length;
        }

        text.Append(total).Append(' ').Append(Survivors.Count).Append(' ');
        var blocks = new List<byte[]>();
        for (var size = 1 << 10; size <= 1 << 22; size <<= 1)
        {
            var block = new byte[size];
            block[^1] = (byte)blocks.Count;
            blocks.Add(block);
        }

        foreach (var block in blocks)
        {
            text.Append(block[^1]).Append(block[0]);
        }

        foreach (var node in Survivors)
        {
            text.Append(' ').Append(node.Sum());
        }

        var weak = new WeakReference(new object());
        for (var i = 0; i < 100; i++)
        {
            _ = new Counted();
        }

        var builder = new StringBuilder();
        for (var i = 0; i < 20_000; i++)
        {
            builder.Append(i).Insert(builder.Length / 2, '.').Replace("999", "[]", Math.Max(0, builder.Length - 10), Math.Min(10, builder.Length));
            if (builder.Length > 5000)
            {
                total += builder[2500];
                builder.Clear();
            }
        }

        text.Append(' ').Append(total).Append(weak is not null).Append(Counted.Finalized >= 0);
        return Encoding.UTF8.GetBytes(text.ToString());
    }
}
