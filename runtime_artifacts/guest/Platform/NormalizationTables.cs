using System;
using System.Buffers.Text;
using System.Collections.Generic;

namespace MinimalRuntime.Platform;

/// <summary>What Unicode says of characters, unpacked from <see cref="NormalizationData"/> at its first use.</summary>
internal static class NormalizationTables
{
    // By place: the character, where its parts begin, and whether they are for compatibility only.
    private static readonly int[] Points;
    private static readonly int[] Starts;
    private static readonly bool[] ForCompatibility;
    private static readonly int[] Parts;
    private static readonly Dictionary<long, int> Wholes = new();

    // First characters of ranges with one combining class, their ends and that class.
    private static readonly int[] ClassStarts;
    private static readonly int[] ClassEnds;
    private static readonly byte[] Classes;

    static NormalizationTables()
    {
        var reader = new Numbers(NormalizationData.Packed);
        Points = new int[reader.Next()];
        Starts = new int[Points.Length + 1];
        ForCompatibility = new bool[Points.Length];
        Parts = new int[reader.Next()];
        var point = 0;
        var part = 0;
        var former = 0;
        for (var index = 0; index < Points.Length; index++)
        {
            point += reader.Next();
            var kind = reader.Next();
            Points[index] = point;
            Starts[index] = part;
            ForCompatibility[index] = (kind & 1) != 0;
            for (var count = kind >> 2; count > 0; count--)
            {
                former += reader.NextSigned();
                Parts[part++] = former;
            }

            if ((kind & 2) != 0)
            {
                Wholes[Pair(Parts[part - 2], Parts[part - 1])] = point;
            }
        }

        Starts[^1] = part;
        ClassStarts = new int[reader.Next()];
        ClassEnds = new int[ClassStarts.Length];
        Classes = new byte[ClassStarts.Length];
        point = 0;
        for (var index = 0; index < ClassStarts.Length; index++)
        {
            ClassStarts[index] = point += reader.Next();
            ClassEnds[index] = point += reader.Next();
            Classes[index] = (byte)reader.Next();
        }
    }

    /// <summary>What a character is made of, one step; empty if it is whole.</summary>
    public static ReadOnlySpan<int> Decomposition(int point, bool compatibility)
    {
        var index = point < 0xA0 ? -1 : Array.BinarySearch(Points, point);
        return index < 0 || (ForCompatibility[index] && !compatibility)
            ? default
            : Parts.AsSpan(Starts[index]..Starts[index + 1]);
    }

    /// <summary>The character that two make; -1 if none.</summary>
    public static int Composition(int first, int second) =>
        Wholes.TryGetValue(Pair(first, second), out var whole) ? whole : -1;

    /// <summary>Canonical_Combining_Class.</summary>
    public static int CombiningClass(int point)
    {
        if (point < 0x300)
        {
            return 0;
        }

        var index = Array.BinarySearch(ClassStarts, point);
        index = index < 0 ? ~index - 1 : index;
        return index >= 0 && point < ClassEnds[index] ? Classes[index] : 0;
    }

    private static long Pair(int first, int second) => ((long)first << 32) | (uint)second;

    /// <summary>Numbers of seven bits a byte, the lowest first; the last byte of each has no top bit.</summary>
    private struct Numbers
    {
        private readonly byte[] data;
        private int position;

        public Numbers(ReadOnlySpan<byte> base64)
        {
            this.data = new byte[base64.Length];
            Base64.DecodeFromUtf8(base64, this.data, out _, out _);
        }

        public int Next()
        {
            var value = 0;
            for (var shift = 0; ; shift += 7)
            {
                var next = this.data[this.position++];
                value |= (next & 0x7F) << shift;
                if (next < 0x80)
                {
                    return value;
                }
            }
        }

        public int NextSigned()
        {
            var value = this.Next();
            return (value >> 1) ^ -(value & 1);
        }
    }
}
