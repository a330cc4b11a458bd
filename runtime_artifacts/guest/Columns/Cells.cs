using System;
using System.IO;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace MinimalRuntime.Columns;

/// <summary>
/// Reads the rows that a method is called for; for generated code only. The Python half is
/// <c>dotnet_wasm_host/columns/wire.py</c>.
/// </summary>
public ref struct Cells
{
    private const int HasNulls = 1;
    private const int IsIndexed = 2;

    private readonly ReadOnlySpan<byte> all;
    private int at;

    /// <summary>Initializes a new instance of the <see cref="Cells"/> struct.</summary>
    /// <param name="input">The payload.</param>
    public Cells(ReadOnlySpan<byte> input)
    {
        this.all = input;
        this.at = 0;
        this.Rows = 0;
        this.Rows = this.Int();
        if (this.Rows < 0 || this.Int() != 0)
        {
            throw Wrong();
        }
    }

    /// <summary>How many rows there are.</summary>
    public int Rows { get; }

    /// <summary>Rows that are null in one of two columns; empty if none is.</summary>
    public static ReadOnlySpan<byte> Union(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        if (a.IsEmpty || b.IsEmpty)
        {
            return a.IsEmpty ? b : a;
        }

        var both = a.ToArray();
        for (var i = 0; i < both.Length; i++)
        {
            both[i] |= b[i];
        }

        return both;
    }

    /// <summary>A column of values that lie in memory as they do in the payload.</summary>
    public ReadOnlySpan<T> Values<T>(out ReadOnlySpan<byte> nulls, out int flags)
        where T : unmanaged => this.Many<T>(this.Head(out nulls, out flags));

    /// <summary>A column of text or bytes.</summary>
    public Texts Texts(out ReadOnlySpan<byte> nulls, out int flags)
    {
        var count = this.Head(out nulls, out flags);
        var isIndexed = (flags & IsIndexed) != 0;
        var indices = isIndexed ? this.Many<int>(this.Rows) : default;
        var offsets = this.Many<int>(checked(count + 1));
        var bytes = this.Take(offsets[count] - offsets[0]);
        return isIndexed ? new Texts(offsets, bytes, indices) : new Texts(offsets, bytes);
    }

    /// <summary>Nothing follows.</summary>
    public readonly void End()
    {
        if (this.at != this.all.Length)
        {
            throw Wrong();
        }
    }

    private static InvalidDataException Wrong() => new("A payload of columns has a wrong size.");

    private int Head(out ReadOnlySpan<byte> nulls, out int flags)
    {
        flags = this.Int();
        var count = this.Int();
        nulls = (flags & HasNulls) != 0 ? this.Take(this.Rows) : default;
        return count;
    }

    private int Int()
    {
        var value = MemoryMarshal.Read<int>(this.all[this.at..]);
        this.at += sizeof(int);
        return value;
    }

    private ReadOnlySpan<T> Many<T>(int count)
        where T : unmanaged =>
        MemoryMarshal.Cast<byte, T>(this.Take(checked(count * Unsafe.SizeOf<T>())));

    private ReadOnlySpan<byte> Take(int size)
    {
        var taken = this.all.Slice(this.at, size);
        this.at = Math.Min((this.at + size + 7) & -8, this.all.Length);
        return taken;
    }
}
