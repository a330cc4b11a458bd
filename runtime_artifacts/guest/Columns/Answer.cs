using System;
using System.Runtime.InteropServices;

namespace MinimalRuntime.Columns;

/// <summary>Results of a fixed size: flags and rows, the values, a byte for each null.</summary>
public sealed class Answer
{
    private const int HeadSize = 8;

    private static byte[]? kept;

    private readonly byte[] bytes;
    private readonly int rows;
    private readonly int size;
    private readonly bool hasNulls;

    /// <summary>Initializes a new instance of the <see cref="Answer"/> class.</summary>
    /// <param name="rows">How many results there will be.</param>
    /// <param name="size">Bytes of one.</param>
    /// <param name="hasNulls">Whether some may be null.</param>
    public Answer(int rows, int size, bool hasNulls)
    {
        this.rows = rows;
        this.size = size;
        this.hasNulls = hasNulls;
        var length = checked(HeadSize + (rows * size) + (hasNulls ? rows : 0));

        // The host has copied the answer before the next call. What another call left is taken
        // away while this one runs, which may call others.
        var again = kept;
        kept = null;
        this.bytes = again is not null && again.Length == length ? again : new byte[length];
        var flags = hasNulls ? 1 : 0;
        MemoryMarshal.Write(this.bytes, in flags);
        MemoryMarshal.Write(this.bytes.AsSpan(sizeof(int)), in rows);
        this.Nulls.Clear();
    }

    /// <summary>A byte for each row, 1 where its result is null; empty if none may be.</summary>
    public Span<byte> Nulls => this.hasNulls
        ? this.bytes.AsSpan(HeadSize + (this.rows * this.size), this.rows)
        : default;

    /// <summary>The results.</summary>
    public Span<T> Values<T>()
        where T : unmanaged =>
        MemoryMarshal.Cast<byte, T>(this.bytes.AsSpan(HeadSize, this.rows * this.size));

    /// <summary>These rows are null.</summary>
    public void SetNulls(ReadOnlySpan<byte> nulls) => nulls.CopyTo(this.Nulls);

    /// <summary>The answer.</summary>
    public byte[] End()
    {
        kept = this.bytes;
        return this.bytes;
    }
}
