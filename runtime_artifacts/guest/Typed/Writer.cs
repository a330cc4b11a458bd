using System;
using System.Buffers;
using System.IO;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace MinimalRuntime.Typed;

/// <summary>Writes the results of typed calls; for generated code only. See <see cref="Reader"/>.</summary>
public sealed class Writer
{
    private const int SmallSize = 16;

    // The host copies a result before the next call begins, so small ones have one array for all.
    private readonly byte[]?[] small = new byte[]?[SmallSize + 1];
    private byte[] buffer = new byte[256];
    private int length;
    private int depth;

    /// <summary>Forget what a call before has written.</summary>
    public Writer Begin()
    {
        this.length = 0;
        this.depth = 0;
        return this;
    }

    /// <summary>What was written.</summary>
    public byte[] End() => this.buffer.AsSpan(0, this.length).ToArray();

    /// <summary>What was written, until more is.</summary>
    public ReadOnlySpan<byte> Written => this.buffer.AsSpan(0, this.length);

    /// <summary>A result that is one small value.</summary>
    public byte[] Only<T>(T value)
        where T : unmanaged
    {
        var result = this.small[Unsafe.SizeOf<T>()] ??= new byte[Unsafe.SizeOf<T>()];
        Unsafe.WriteUnaligned(ref MemoryMarshal.GetArrayDataReference(result), value);
        return result;
    }

    /// <summary>A value as it lies in memory.</summary>
    public void Put<T>(T value)
        where T : unmanaged => MemoryMarshal.Write(this.Take(Unsafe.SizeOf<T>()), in value);

    /// <summary>Whether a value follows that may be null.</summary>
    public bool Has(bool present)
    {
        this.Put(present ? (byte)1 : (byte)0);
        return present;
    }

    /// <summary>Text in UTF-8, or null.</summary>
    public void Text(string? text)
    {
        if (text is null)
        {
            this.Put(-1);
            return;
        }

        var start = this.length;
        var ascii = this.Take(sizeof(int) + text.Length)[sizeof(int)..];
        var size = text.Length;
        if (Ascii.FromUtf16(text, ascii, out _) != OperationStatus.Done)
        {
            size = Texts.Size(text);
            this.length = start;
            Texts.Encode(text, this.Take(sizeof(int) + size)[sizeof(int)..]);
        }

        Unsafe.WriteUnaligned(ref this.buffer[start], size);
    }

    /// <summary>Values that lie one behind the other.</summary>
    public void Span<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        this.Put(values.Length);
        var bytes = MemoryMarshal.AsBytes(values);
        bytes.CopyTo(this.Take(bytes.Length));
    }

    /// <summary>Bytes as they are.</summary>
    public void Raw(ReadOnlySpan<byte> bytes) => bytes.CopyTo(this.Take(bytes.Length));

    /// <summary>The same of an array, or null.</summary>
    public void Array<T>(T[]? values)
        where T : unmanaged
    {
        if (values is null)
        {
            this.Put(-1);
            return;
        }

        this.Span<T>(values);
    }

    /// <summary>See <see cref="Reader.Decimal"/>.</summary>
    public void Decimal(decimal value)
    {
        Span<int> bits = stackalloc int[4];
        decimal.GetBits(value, bits);
        MemoryMarshal.AsBytes(bits).CopyTo(this.Take(16));
    }

    /// <summary>See <see cref="Reader.DateTime"/>. Local time becomes UTC.</summary>
    public void DateTime(DateTime value)
    {
        var written = value.Kind == DateTimeKind.Local ? value.ToUniversalTime() : value;
        this.Put(written.Ticks);
        this.Put((byte)written.Kind);
    }

    /// <summary>See <see cref="Reader.DateTimeOffset"/>.</summary>
    public void DateTimeOffset(DateTimeOffset value)
    {
        this.Put(value.Ticks);
        this.Put((short)value.TotalOffsetMinutes);
    }

    /// <summary>See <see cref="Reader.DateOnly"/>.</summary>
    public void DateOnly(DateOnly value) => this.Put(value.DayNumber);

    /// <summary>See <see cref="Reader.TimeOnly"/>.</summary>
    public void TimeOnly(TimeOnly value) => this.Put(value.Ticks);

    /// <summary>See <see cref="Reader.TimeSpan"/>.</summary>
    public void TimeSpan(TimeSpan value) => this.Put(value.Ticks);

    /// <summary>See <see cref="Reader.BigInteger"/>.</summary>
    public void BigInteger(BigInteger value)
    {
        var size = value.GetByteCount();
        this.Put(size);
        value.TryWriteBytes(this.Take(size), out _);
    }

    /// <summary>A value begins that may have others of its type inside.</summary>
    public void Enter()
    {
        if (++this.depth > Reader.MaxDepth)
        {
            throw new InvalidDataException($"The result of a typed call is more than {Reader.MaxDepth} deep.");
        }
    }

    /// <summary>It ended.</summary>
    public void Leave() => this.depth--;

    private Span<byte> Take(int size)
    {
        if (this.buffer.Length - this.length < size)
        {
            System.Array.Resize(ref this.buffer, checked(Math.Max(this.buffer.Length * 2, this.length + size)));
        }

        var taken = this.buffer.AsSpan(this.length, size);
        this.length += size;
        return taken;
    }
}
