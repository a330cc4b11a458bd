using System;
using System.IO;

namespace MinimalRuntime.Compression;

/// <summary>Bits of a stream, the lowest of each byte first.</summary>
internal ref struct BrotliBits
{
    private readonly ReadOnlySpan<byte> data;
    private ulong held;
    private int count;
    private int position;

    public BrotliBits(ReadOnlySpan<byte> data)
    {
        this.data = data;
    }

    /// <summary>Whole bytes that were not touched, or were only looked at.</summary>
    public readonly int Left => this.data.Length - this.position + (this.count / 8);

    /// <summary>The next bits, up to 24; zeros behind the end.</summary>
    public int Peek(int bits)
    {
        while (this.count < bits && this.position < this.data.Length)
        {
            this.held |= (ulong)this.data[this.position++] << this.count;
            this.count += 8;
        }

        return (int)(this.held & ((1UL << bits) - 1));
    }

    public void Skip(int bits)
    {
        if (bits > this.count)
        {
            throw new InvalidDataException("Brotli: the data ends too early.");
        }

        this.held >>= bits;
        this.count -= bits;
    }

    public int Take(int bits)
    {
        var value = this.Peek(bits);
        this.Skip(bits);
        return value;
    }

    public bool TakeBit() => this.Take(1) != 0;

    /// <summary>To the next whole byte; what is skipped has to be zero.</summary>
    public void Align()
    {
        if (this.Take(this.count & 7) != 0)
        {
            throw new InvalidDataException("Brotli: bits that are not used are not zero.");
        }
    }

    /// <summary>Whole bytes, as they are. The stream stands at a whole byte.</summary>
    public ReadOnlySpan<byte> Bytes(int length)
    {
        this.position -= this.count / 8;
        this.held = 0;
        this.count = 0;
        if (length > this.data.Length - this.position)
        {
            throw new InvalidDataException("Brotli: the data ends too early.");
        }

        this.position += length;
        return this.data.Slice(this.position - length, length);
    }
}
