using System;
using System.Text;

namespace MinimalRuntime.Columns;

/// <summary>A column of text or bytes: offsets and bytes, or words and their numbers.</summary>
public readonly ref struct Texts
{
    private static readonly UTF8Encoding Utf8 = new(false, throwOnInvalidBytes: true);

    private readonly ReadOnlySpan<int> offsets;
    private readonly ReadOnlySpan<byte> bytes;
    private readonly ReadOnlySpan<int> indices;
    private readonly string?[]? words;

    internal Texts(ReadOnlySpan<int> offsets, ReadOnlySpan<byte> bytes)
    {
        this.offsets = offsets;
        this.bytes = bytes;
    }

    internal Texts(ReadOnlySpan<int> offsets, ReadOnlySpan<byte> bytes, ReadOnlySpan<int> indices)
        : this(offsets, bytes)
    {
        this.indices = indices;
        this.words = new string?[offsets.Length - 1];
    }

    /// <summary>The text of a row; a word is decoded once.</summary>
    public string Text(int row)
    {
        if (this.words is null)
        {
            return Utf8.GetString(this.At(row));
        }

        var index = this.indices[row];
        return this.words[index] ??= Utf8.GetString(this.At(index));
    }

    /// <summary>The bytes of a row.</summary>
    public byte[] Bytes(int row) => this.At(this.words is null ? row : this.indices[row]).ToArray();

    private ReadOnlySpan<byte> At(int index)
    {
        var start = this.offsets[index];
        return this.bytes.Slice(start - this.offsets[0], this.offsets[index + 1] - start);
    }
}
