using System;
using System.Buffers.Text;
using System.IO;
using System.IO.Compression;

namespace MinimalRuntime.Compression;

/// <summary>The dictionary of RFC 7932, what is done with its words, and contexts of literals.</summary>
internal static class BrotliWords
{
    private const int TransformCount = 121;
    private const int OmitLast = 9;
    private const int UppercaseFirst = 10;
    private const int UppercaseAll = 11;
    private static readonly byte[] Dictionary = Inflate(Bytes(BrotliData.Dictionary));
    private static readonly byte[] Contexts = Bytes(BrotliData.Contexts);
    private static readonly byte[] Transforms = Bytes(BrotliData.Transforms);
    private static readonly int[] TransformStarts = Starts();

    // By length of a word: how many bits its number has.
    private static readonly byte[] Bits =
        [0, 0, 0, 0, 10, 10, 11, 11, 10, 10, 10, 10, 10, 9, 9, 8, 7, 7, 8, 7, 7, 6, 6, 5, 5];

    private static ReadOnlySpan<ushort> ContextOffsets => [1024, 1536, 1280, 1536, 0, 256, 768, 512];

    /// <summary>Context of a literal (section 7.1), by the mode and the two bytes before it.</summary>
    public static int Context(int mode, byte last, byte second) =>
        Contexts[ContextOffsets[2 * mode] + last] | Contexts[ContextOffsets[(2 * mode) + 1] + second];

    /// <summary>Write a word (section 8); how long it is.</summary>
    public static int Write(int length, int number, Span<byte> into)
    {
        if (length >= Bits.Length || Bits[length] == 0)
        {
            throw new InvalidDataException($"Brotli: the dictionary has no words of {length} bytes.");
        }

        var transform = number >> Bits[length];
        if (transform >= TransformCount)
        {
            throw new InvalidDataException("Brotli: the dictionary has no such word.");
        }

        var start = 0;
        for (var shorter = 0; shorter < length; shorter++)
        {
            start += Bits[shorter] == 0 ? 0 : shorter << Bits[shorter];
        }

        var word = Dictionary.AsSpan(start + (length * (number & ((1 << Bits[length]) - 1))), length);
        var rule = Transforms.AsSpan(TransformStarts[transform]);
        var kind = rule[0];
        rule = rule[1..];
        var written = Copy(ref rule, into);
        word = kind switch
        {
            > UppercaseAll => word[Math.Min(kind - UppercaseAll, length)..],
            > 0 and <= OmitLast => word[..Math.Max(length - kind, 0)],
            _ => word,
        };
        word.CopyTo(into[written..]);
        if (kind is UppercaseFirst or UppercaseAll)
        {
            Raise(into.Slice(written, word.Length), kind == UppercaseAll);
        }

        written += word.Length;
        return written + Copy(ref rule, into[written..]);
    }

    private static void Raise(Span<byte> word, bool all)
    {
        for (var index = 0; index < word.Length;)
        {
            var size = word[index] < 0xC0 ? 1 : word[index] < 0xE0 ? 2 : 3;
            if (size == 1)
            {
                word[index] ^= word[index] is >= (byte)'a' and <= (byte)'z' ? (byte)32 : (byte)0;
            }
            else if (index + size <= word.Length)
            {
                word[index + size - 1] ^= size == 2 ? (byte)32 : (byte)5;
            }

            index += size;
            if (!all)
            {
                return;
            }
        }
    }

    private static int Copy(ref Span<byte> rule, Span<byte> into)
    {
        var length = rule.IndexOf((byte)0);
        rule[..length].CopyTo(into);
        rule = rule[(length + 1)..];
        return length;
    }

    private static int[] Starts()
    {
        var starts = new int[TransformCount];
        var position = 0;
        for (var index = 0; index < TransformCount; index++)
        {
            starts[index] = position++;
            position += Transforms.AsSpan(position).IndexOf((byte)0) + 1;
            position += Transforms.AsSpan(position).IndexOf((byte)0) + 1;
        }

        return starts;
    }

    private static byte[] Bytes(ReadOnlySpan<byte> base64)
    {
        var bytes = new byte[base64.Length];
        Base64.DecodeFromUtf8(base64, bytes, out _, out var written);
        return bytes[..written];
    }

    private static byte[] Inflate(byte[] deflated)
    {
        using var from = new DeflateStream(new MemoryStream(deflated), CompressionMode.Decompress);
        using var to = new MemoryStream();
        from.CopyTo(to);
        return to.ToArray();
    }
}
