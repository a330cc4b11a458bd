using System;
using System.IO;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace MinimalRuntime.Typed;

/// <summary>
/// Reads the arguments of a typed call; for generated code only. The format is that of
/// <c>docs/typed.md</c>, and the Python half is <c>dotnet_wasm_host/typed</c>.
/// </summary>
/// <param name="input">The payload.</param>
public ref struct Reader(ReadOnlySpan<byte> input)
{
    /// <summary>Values inside of values, as deep as they may be.</summary>
    public const int MaxDepth = 100;

    private ReadOnlySpan<byte> rest = input;
    private int depth = 0;

    /// <summary>A value that lies in memory as it does in the payload.</summary>
    public T Get<T>()
        where T : unmanaged
    {
        var value = MemoryMarshal.Read<T>(this.rest);
        this.rest = this.rest[Unsafe.SizeOf<T>()..];
        return value;
    }

    /// <summary>Whether a value follows that may be null.</summary>
    public bool Has() => this.Get<byte>() != 0;

    /// <summary>How many items follow; -1 for null.</summary>
    public int Count()
    {
        var count = this.Get<int>();
        return count <= this.rest.Length ? count : throw new InvalidDataException(
            $"A typed call's payload says {count} items and has {this.rest.Length} bytes more.");
    }

    /// <summary>Text in UTF-8, or null.</summary>
    public string? Text()
    {
        var length = this.Count();
        return length < 0 ? null : Texts.Decode(this.Take(length));
    }

    /// <summary>Values that lie one behind the other, where they are; empty for null.</summary>
    public ReadOnlySpan<T> Span<T>()
        where T : unmanaged
    {
        var count = this.Count();
        return count <= 0 ? default
            : MemoryMarshal.Cast<byte, T>(this.Take(checked(count * Unsafe.SizeOf<T>())));
    }

    /// <summary>A copy of values that lie one behind the other, or null.</summary>
    public T[]? Array<T>()
        where T : unmanaged
    {
        var count = this.Count();
        return count < 0 ? null
            : MemoryMarshal.Cast<byte, T>(this.Take(checked(count * Unsafe.SizeOf<T>()))).ToArray();
    }

    /// <summary>So many values that lie one behind the other, where they are.</summary>
    public ReadOnlySpan<T> Many<T>(int count)
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(this.Take(checked(count * Unsafe.SizeOf<T>())));

    /// <summary>The four numbers of <see cref="decimal.GetBits(decimal)"/>.</summary>
    public decimal Decimal() => new(
        [this.Get<int>(), this.Get<int>(), this.Get<int>(), this.Get<int>()]);

    /// <summary>Ticks and kind.</summary>
    public DateTime DateTime() => new(this.Get<long>(), (DateTimeKind)this.Get<byte>());

    /// <summary>Ticks of the clock and offset in minutes.</summary>
    public DateTimeOffset DateTimeOffset() =>
        new(this.Get<long>(), System.TimeSpan.FromMinutes(this.Get<short>()));

    /// <summary>Days since the first of January of the year 1.</summary>
    public DateOnly DateOnly() => System.DateOnly.FromDayNumber(this.Get<int>());

    /// <summary>Ticks since midnight.</summary>
    public TimeOnly TimeOnly() => new(this.Get<long>());

    /// <summary>Ticks.</summary>
    public TimeSpan TimeSpan() => new(this.Get<long>());

    /// <summary>Two's complement, the lowest byte first.</summary>
    public BigInteger BigInteger() => new(this.Take(this.Count()));

    /// <summary>A value begins that may have others of its type inside.</summary>
    public void Enter()
    {
        if (++this.depth > MaxDepth)
        {
            throw new InvalidDataException($"A typed call's argument is more than {MaxDepth} deep.");
        }
    }

    /// <summary>It ended.</summary>
    public void Leave() => this.depth--;

    /// <summary>Nothing follows.</summary>
    public readonly void End()
    {
        if (!this.rest.IsEmpty)
        {
            throw new InvalidDataException($"A typed call's payload has {this.rest.Length} bytes too many.");
        }
    }

    private ReadOnlySpan<byte> Take(int length)
    {
        var taken = this.rest[..length];
        this.rest = this.rest[length..];
        return taken;
    }
}
