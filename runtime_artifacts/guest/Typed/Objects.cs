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

    /// <summary>Tickets of our own, for what Python is given in the middle of a call, begin here.</summary>
    private const long FirstOwnTicket = 1L << 61;

    private readonly Dictionary<long, (object Value, long Ticket)> held = [];
    private readonly Dictionary<(Type Type, int Declared), int> numbers = [];
    private readonly Dictionary<long, WeakReference<Delegate>> delegates = [];
    private readonly HashSet<long> running = [];
    private readonly HashSet<long> unwanted = [];
    private long ticket;
    private long lastOwnTicket = FirstOwnTicket;
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
        this.held.Add(handle, (value, this.ticket));
        return handle;
    }

    /// <summary>The object of a handle.</summary>
    /// <exception cref="StaleObjectException">It is a handle of an instance before this one.</exception>
    public object? Get(long handle) => handle == 0 ? null
        : this.held.TryGetValue(handle, out var found) ? found.Value : throw new StaleObjectException();

    /// <summary>A ticket for what Python is given in the middle of a call.</summary>
    public long NewTicket() => ++this.lastOwnTicket;

    /// <summary>From here on handles are those of an answer with this ticket; gives the one before.</summary>
    public long Begin(long ticket)
    {
        var before = this.ticket;
        this.ticket = ticket;
        return before;
    }

    /// <summary>The answer was written, or not: then nobody will ever let go of its handles.</summary>
    public void End(long ticket, long before, bool written)
    {
        this.ticket = before;
        if (!written)
        {
            this.Remove(ticket);
        }
    }

    /// <summary>A call goes on whose answer is written later.</summary>
    public void Enter(long ticket) => this.running.Add(ticket);

    /// <summary>Its answer would be written now.</summary>
    /// <exception cref="OperationCanceledException">Nobody waits for it any more.</exception>
    public void Want(long ticket)
    {
        if (this.unwanted.Contains(ticket))
        {
            throw new OperationCanceledException();
        }
    }

    /// <summary>It has ended.</summary>
    public void Leave(long ticket)
    {
        this.running.Remove(ticket);
        this.unwanted.Remove(ticket);
    }

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

    /// <summary>
    /// Let go what a payload begins with, and say how long that was: objects by their handles, and all
    /// objects of an answer that was lost by its ticket, below 0.
    /// </summary>
    public int Release(ReadOnlySpan<byte> input)
    {
        var count = BitConverter.ToInt32(input[4..]);
        var handles = MemoryMarshal.Cast<byte, long>(input.Slice(8, checked(count * 8)));
        foreach (var handle in handles)
        {
            if (handle < 0)
            {
                this.Discard(-handle);
            }
            else
            {
                this.held.Remove(handle);
            }
        }

        return 8 + (count * 8);
    }

    /// <summary>A record derives from the one that a method names, and Python has no class of it.</summary>
    public static Exception Unknown(Type found, Type expected) => new NotSupportedException(
        $"expected {expected} or a public record that derives from it, found {found}, whose fields " +
        "Python would not have; make it public with properties that docs/typed.md names, or return an object");

    /// <summary>A payload names a record that there is not.</summary>
    public static Exception NotThere() =>
        new InvalidDataException("A typed call's payload has a record of a type that it cannot be.");

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

    private void Discard(long ticket)
    {
        if (this.running.Contains(ticket))
        {
            this.unwanted.Add(ticket);
        }

        this.Remove(ticket);
    }

    private void Remove(long ticket)
    {
        foreach (var (handle, (_, of)) in this.held)
        {
            if (of == ticket)
            {
                this.held.Remove(handle);
            }
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
