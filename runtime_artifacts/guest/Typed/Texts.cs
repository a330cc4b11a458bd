using System;
using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace MinimalRuntime.Typed;

/// <summary>
/// Text in UTF-8 with its length before it, -1 for null; for generated code only. Most text is ASCII,
/// which takes half the time.
/// </summary>
public static class Texts
{
    private static readonly UTF8Encoding Utf8 = new(false, throwOnInvalidBytes: true);

    /// <summary>Text that lies in a payload at an offset, which moves behind it.</summary>
    public static string? Read(ReadOnlySpan<byte> input, ref int at)
    {
        var length = MemoryMarshal.Read<int>(input[at..]);
        at += sizeof(int);
        if (length < 0)
        {
            return null;
        }

        var text = Decode(input.Slice(at, length));
        at += length;
        return text;
    }

    /// <summary>The text that bytes are.</summary>
    public static string Decode(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty)
        {
            return string.Empty;
        }

        // Nobody has the new string yet.
        var text = new string('\0', bytes.Length);
        var characters = MemoryMarshal.CreateSpan(ref MemoryMarshal.GetReference(text.AsSpan()), text.Length);
        return Ascii.ToUtf16(bytes, characters, out _) == OperationStatus.Done ? text : Utf8.GetString(bytes);
    }

    /// <summary>A result that is text, and nothing else.</summary>
    public static byte[] Answer(string? text)
    {
        if (text is null)
        {
            return [255, 255, 255, 255];
        }

        var size = text.Length;
        var answer = new byte[sizeof(int) + size];
        if (Ascii.FromUtf16(text, answer.AsSpan(sizeof(int)), out _) != OperationStatus.Done)
        {
            size = Utf8.GetByteCount(text);
            answer = new byte[sizeof(int) + size];
            Utf8.GetBytes(text, answer.AsSpan(sizeof(int)));
        }

        Unsafe.WriteUnaligned(ref MemoryMarshal.GetArrayDataReference(answer), size);
        return answer;
    }

    /// <summary>Bytes that text takes if it is not ASCII.</summary>
    internal static int Size(string text) => Utf8.GetByteCount(text);

    /// <summary>Write text that is not ASCII.</summary>
    internal static void Encode(string text, Span<byte> bytes) => Utf8.GetBytes(text, bytes);
}
