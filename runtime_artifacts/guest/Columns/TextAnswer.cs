using System;
using System.Runtime.InteropServices;
using System.Text;

namespace MinimalRuntime.Columns;

/// <summary>Results of any size: flags and rows, offsets, bytes, a byte for each null.</summary>
/// <param name="rows">How many there will be.</param>
public sealed class TextAnswer(int rows)
{
    private const int HeadSize = 8;

    private static readonly UTF8Encoding Utf8 = new(false, throwOnInvalidBytes: true);

    private readonly int[] offsets = new int[rows + 1];
    private readonly byte[] nulls = new byte[rows];
    private byte[] buffer = new byte[1024];
    private int length;
    private int count;
    private bool hasNulls;

    /// <summary>The next one is null.</summary>
    public void AddNull()
    {
        this.hasNulls = true;
        this.nulls[this.count] = 1;
        this.offsets[++this.count] = this.length;
    }

    /// <summary>The next one.</summary>
    public void Add(string? value)
    {
        if (value is null)
        {
            this.AddNull();
            return;
        }

        Utf8.GetBytes(value, this.Room(Utf8.GetByteCount(value)));
        this.offsets[++this.count] = this.length;
    }

    /// <summary>The next one.</summary>
    public void Add(byte[]? value)
    {
        if (value is null)
        {
            this.AddNull();
            return;
        }

        value.CopyTo(this.Room(value.Length));
        this.offsets[++this.count] = this.length;
    }

    /// <summary>The answer.</summary>
    public byte[] End()
    {
        var rows = this.nulls.Length;
        var heads = MemoryMarshal.AsBytes<int>(this.offsets);
        var answer = new byte[
            checked(HeadSize + heads.Length + this.length + (this.hasNulls ? rows : 0))];
        var flags = this.hasNulls ? 1 : 0;
        MemoryMarshal.Write(answer, in flags);
        MemoryMarshal.Write(answer.AsSpan(sizeof(int)), in rows);
        heads.CopyTo(answer.AsSpan(HeadSize));
        this.buffer.AsSpan(0, this.length).CopyTo(answer.AsSpan(HeadSize + heads.Length));
        if (this.hasNulls)
        {
            this.nulls.CopyTo(answer.AsSpan(HeadSize + heads.Length + this.length));
        }

        return answer;
    }

    private Span<byte> Room(int size)
    {
        if (this.buffer.Length - this.length < size)
        {
            var needed = checked(this.length + size);
            Array.Resize(ref this.buffer, Math.Max(needed, Math.Min(this.buffer.Length, 1 << 28) * 2));
        }

        var room = this.buffer.AsSpan(this.length, size);
        this.length += size;
        return room;
    }
}
