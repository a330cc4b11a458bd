using System;
using System.IO;
using System.Numerics;

namespace MinimalRuntime.Compression;

/// <summary>Prefix codes and small numbers, as they are written in a stream (RFC 7932, section 3).</summary>
internal static class BrotliCodes
{
    private const int LengthSymbols = 18, FirstRepeat = 16, Space = 1 << PrefixCode.MaxLength;

    private static ReadOnlySpan<byte> LengthOrder =>
        [1, 2, 3, 4, 0, 5, 17, 6, 16, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    // By the next four bits: the length of a word for a length, and that length.
    private static ReadOnlySpan<byte> WordSizes => [2, 2, 2, 3, 2, 2, 2, 4, 2, 2, 2, 3, 2, 2, 2, 4];

    private static ReadOnlySpan<byte> WordValues => [0, 4, 3, 2, 0, 4, 3, 1, 0, 4, 3, 2, 0, 4, 3, 5];

    /// <summary>From 1 to 256 (section 9.2).</summary>
    public static int ReadCount(ref BrotliBits bits)
    {
        if (!bits.TakeBit())
        {
            return 1;
        }

        var extra = bits.Take(3);
        return (1 << extra) + 1 + bits.Take(extra);
    }

    /// <summary>A prefix code for symbols up to a number.</summary>
    public static PrefixCode Read(ref BrotliBits bits, int symbols)
    {
        var kind = bits.Take(2);
        return kind == 1 ? ReadSimple(ref bits, symbols) : ReadComplex(ref bits, symbols, kind);
    }

    private static PrefixCode ReadSimple(ref BrotliBits bits, int symbols)
    {
        var size = 32 - BitOperations.LeadingZeroCount((uint)(symbols - 1));
        var count = bits.Take(2) + 1;
        var found = new int[count];
        for (var index = 0; index < count; index++)
        {
            found[index] = bits.Take(size);
            if (found[index] >= symbols || Array.IndexOf(found, found[index], 0, index) >= 0)
            {
                throw new InvalidDataException("Brotli: a code has a wrong symbol.");
            }
        }

        if (count == 1)
        {
            return new PrefixCode(found[0]);
        }

        ReadOnlySpan<byte> sizes = count switch
        {
            2 => [1, 1],
            3 => [1, 2, 2],
            _ => bits.TakeBit() ? [1, 2, 3, 3] : [2, 2, 2, 2],
        };
        var lengths = new byte[symbols];
        for (var index = 0; index < count; index++)
        {
            lengths[found[index]] = sizes[index];
        }

        return new PrefixCode(lengths);
    }

    private static PrefixCode ReadComplex(ref BrotliBits bits, int symbols, int skipped)
    {
        var words = ReadLengthCode(ref bits, skipped);
        var lengths = new byte[symbols];
        var space = Space;
        var position = 0;
        byte former = 8;
        byte repeated = 0;
        var repeat = 0;
        while (position < symbols && space > 0)
        {
            var word = words.Read(ref bits);
            if (word < FirstRepeat)
            {
                repeat = 0;
                lengths[position++] = (byte)word;
                if (word != 0)
                {
                    former = (byte)word;
                    space -= Space >> word;
                }

                continue;
            }

            var extra = word - FirstRepeat + 2;
            var value = word == FirstRepeat ? former : (byte)0;
            repeat = repeated == value ? repeat : 0;
            repeated = value;
            var before = repeat;
            repeat = (repeat > 0 ? (repeat - 2) << extra : 0) + bits.Take(extra) + 3;
            var more = repeat - before;
            if (more > symbols - position)
            {
                throw new InvalidDataException("Brotli: a code has too many lengths.");
            }

            lengths.AsSpan(position, more).Fill(value);
            position += more;
            space -= value == 0 ? 0 : more << (PrefixCode.MaxLength - value);
        }

        return space == 0
            ? new PrefixCode(lengths)
            : throw new InvalidDataException("Brotli: a code is not complete.");
    }

    private static PrefixCode ReadLengthCode(ref BrotliBits bits, int skipped)
    {
        var lengths = new byte[LengthSymbols];
        var space = 32;
        var count = 0;
        var only = 0;
        for (var index = skipped; index < LengthSymbols && space > 0; index++)
        {
            var next = bits.Peek(4);
            bits.Skip(WordSizes[next]);
            var length = WordValues[next];
            if (length != 0)
            {
                only = LengthOrder[index];
                lengths[only] = length;
                space -= 32 >> length;
                count++;
            }
        }

        if (count == 1)
        {
            return new PrefixCode(only);
        }

        return space == 0
            ? new PrefixCode(lengths)
            : throw new InvalidDataException("Brotli: a code of lengths is not complete.");
    }
}
