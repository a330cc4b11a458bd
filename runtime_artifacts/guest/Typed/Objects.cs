using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;
using System.Text;

namespace MinimalRuntime.Typed;

/// <summary>
/// Objects that Python has handles of; for generated code only. A handle is a number that no other
/// object of this instance ever has, with the number of a type in its lowest bits. Numbers begin
/// anywhere, so that a handle of an instance before this one is none here. The Python half is
/// <c>dotnet_wasm_host/typed/objects.py</c>.
/// </summary>
/// <param name="types">The types that Python has classes of, by their numbers; the first is null.</param>
public sealed class Objects(Type?[] types)
{
    private const int TypeBits = 12;
    private const int ReleaseThem = -1;
    private const int Text = -2;
    private const int AreEqual = -3;
    private const int Hash = -4;
    private const int Dispose = -5;
    private const int CountThem = -6;
    private const int LiveDelegates = -7;

    private readonly Dictionary<long, object> held = [];
    private readonly Dictionary<(Type Type, int Declared), int> numbers = [];
    private readonly Dictionary<long, WeakReference<Delegate>> delegates = [];
    private long last = Random.Shared.NextInt64(1L << (62 - TypeBits));
    private Type? lastType;
    private int lastDeclared;
    private int lastNumber;

    /// <summary>A new handle of an object; 0 for null.</summary>
    /// <param name="value">The object.</param>
    /// <param name="declared">The number of the type that the method says it has.</param>
    public long Add(object? value, int declared)
    {
        if (value is null)
        {
            return 0;
        }

        var type = value.GetType();
        if (type != this.lastType || declared != this.lastDeclared)
        {
            (this.lastType, this.lastDeclared) = (type, declared);
            this.lastNumber = this.NumberOf(type, declared);
        }

        var handle = (++this.last << TypeBits) | (uint)this.lastNumber;
        this.held.Add(handle, value);
        return handle;
    }

    /// <summary>The object of a handle.</summary>
    /// <exception cref="StaleObjectException">It is a handle of an instance before this one.</exception>
    public object? Get(long handle) => handle == 0 ? null
        : this.held.TryGetValue(handle, out var value) ? value : throw new StaleObjectException();

    /// <summary>The delegate of a callable that has one already.</summary>
    public Delegate? Delegate(long number) =>
        this.delegates.TryGetValue(number, out var kept) && kept.TryGetTarget(out var made) ? made : null;

    /// <summary>Remember the delegate of a callable for as long as somebody has it.</summary>
    public Delegate Keep(long number, Delegate made)
    {
        this.delegates[number] = new WeakReference<Delegate>(made);
        return made;
    }

    /// <summary>Let go what a payload begins with, and give the rest of it.</summary>
    public ReadOnlyMemory<byte> Release(ReadOnlyMemory<byte> input) => input[this.Release(input.Span)..];

    /// <summary>Let go what a payload begins with, and say how long that was.</summary>
    public int Release(ReadOnlySpan<byte> input)
    {
        var count = BitConverter.ToInt32(input[4..]);
        var handles = MemoryMarshal.Cast<byte, long>(input.Slice(8, checked(count * 8)));
        foreach (var handle in handles)
        {
            this.held.Remove(handle);
        }

        return 8 + (count * 8);
    }

    /// <summary>Whether a payload is for <see cref="Release(ReadOnlySpan{byte})"/>.</summary>
    public static bool IsRelease(int number) => number == ReleaseThem;

    /// <summary>What every object can be asked.</summary>
    public byte[] Ask(ReadOnlySpan<byte> input)
    {
        var reader = new Reader(input);
        switch (reader.Get<int>())
        {
            case Text:
                return Encoding.UTF8.GetBytes(this.Get(reader.Get<long>())!.ToString() ?? string.Empty);
            case AreEqual:
                return [Equals(this.Get(reader.Get<long>()), this.Get(reader.Get<long>())) ? (byte)1 : (byte)0];
            case Hash:
                return BitConverter.GetBytes(this.Get(reader.Get<long>())!.GetHashCode());
            case Dispose:
                ((IDisposable)this.Get(reader.Get<long>())!).Dispose();
                return [];
            case CountThem:
                return BitConverter.GetBytes(this.held.Count);
            case LiveDelegates:
                return this.Live();
            default:
                throw new InvalidDataException("A typed call's payload has a number that no method has.");
        }
    }

    private byte[] Live()
    {
        GC.Collect();
        foreach (var (number, kept) in this.delegates)
        {
            if (!kept.TryGetTarget(out _))
            {
                this.delegates.Remove(number);
            }
        }

        var numbers = new long[this.delegates.Count];
        this.delegates.Keys.CopyTo(numbers, 0);
        return MemoryMarshal.AsBytes<long>(numbers).ToArray();
    }

    private int NumberOf(Type type, int declared)
    {
        if (!this.numbers.TryGetValue((type, declared), out var number))
        {
            number = declared;
            var wanted = types[declared]!;
            for (var at = type; at is not null && number == declared; at = at.BaseType)
            {
                var found = Array.IndexOf(types, at);
                number = found > 0 && at.IsAssignableTo(wanted) ? found : declared;
            }

            this.numbers.Add((type, declared), number);
        }

        return number;
    }
}
