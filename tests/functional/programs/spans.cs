using System;
using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Text.Json;

namespace Programs;

/// <summary>Sorts, sums and reverses its payload without allocating anything on the way.</summary>
public sealed class Spans : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        Span<byte> scratch = input.Length <= 1024 ? stackalloc byte[input.Length] : new byte[input.Length];
        input.CopyTo(scratch);
        scratch.Sort();
        var result = new byte[(2 * input.Length) + 8];
        scratch.CopyTo(result);
        input.CopyTo(result.AsSpan(input.Length));
        result.AsSpan(input.Length, input.Length).Reverse();
        long sum = 0;
        foreach (ref readonly var item in input)
        {
            sum += item;
        }

        BinaryPrimitives.WriteInt64BigEndian(result.AsSpan()[^8..], sum);
        return result;
    }
}

/// <summary>Adds up 32-bit words in five ways: safe, pointers, function pointers, SIMD, reinterpreted.</summary>
public sealed unsafe class Words : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var words = question.EnumerateArray().Select(e => e.GetUInt32()).ToArray();
        uint safe = 0;
        foreach (var word in words)
        {
            safe += word;
        }

        uint pointed = 0;
        fixed (uint* start = words)
        {
            for (var p = start; p < start + words.Length; p++)
            {
                pointed += *p;
            }
        }

        delegate*<uint, uint, uint> add = &Add;
        uint called = 0;
        foreach (var word in words)
        {
            called = add(called, word);
        }

        var bytes = MemoryMarshal.AsBytes(words.AsSpan());
        uint reinterpreted = 0;
        for (var i = 0; i < bytes.Length; i += 4)
        {
            reinterpreted += Unsafe.ReadUnaligned<uint>(ref bytes[i]);
        }

        var vector = Vector128<uint>.Zero;
        var index = 0;
        for (; index + 4 <= words.Length; index += 4)
        {
            vector += Vector128.Create<uint>(words.AsSpan(index, 4));
        }

        var vectored = Vector128.Sum(vector);
        for (; index < words.Length; index++)
        {
            vectored += words[index];
        }

        return new { Safe = safe, Pointed = pointed, Called = called, Reinterpreted = reinterpreted, Vectored = vectored };
    }

    private static uint Add(uint a, uint b) => a + b;
}

[InlineArray(8)]
internal struct Eight
{
    private int first;
}

[StructLayout(LayoutKind.Explicit)]
internal struct Overlaid
{
    [FieldOffset(0)]
    public float Number;

    [FieldOffset(0)]
    public int Bits;
}

/// <summary>Layouts, pools, native memory, references to collection entries.</summary>
public sealed unsafe class Layouts : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var number = question.GetInt32();
        var eight = default(Eight);
        for (var i = 0; i < 8; i++)
        {
            eight[i] = i * number;
        }

        var total = 0;
        foreach (var item in eight)
        {
            total += item;
        }

        var overlaid = new Overlaid { Number = number };
        var rented = ArrayPool<byte>.Shared.Rent(1000);
        var rentedLength = rented.Length;
        ArrayPool<byte>.Shared.Return(rented);
        var native = (int*)NativeMemory.AllocZeroed(4, sizeof(int));
        native[3] = number;
        var fromNative = native[0] + native[3];
        NativeMemory.Free(native);
        var counts = new Dictionary<string, int>();
        CollectionsMarshal.GetValueRefOrAddDefault(counts, "x", out _) += number;
        var created = string.Create(4, number, static (span, n) => span.Fill((char)('0' + n)));
        var handle = GCHandle.Alloc(new byte[] { 7, 8, 9 }, GCHandleType.Pinned);
        var pinned = ((byte*)handle.AddrOfPinnedObject())[1];
        handle.Free();
        string outOfRange;
        try
        {
            outOfRange = eight[..].Slice(number + 100).Length.ToString();
        }
        catch (ArgumentOutOfRangeException)
        {
            outOfRange = "refused";
        }

        return new
        {
            Total = total,
            overlaid.Bits,
            Size = sizeof(Eight),
            RentedEnough = rentedLength >= 1000,
            FromNative = fromNative,
            Counted = counts["x"],
            Created = created,
            Pinned = pinned,
            OutOfRange = outOfRange,
            PointerSize = sizeof(nint),
            LittleEndian = BitConverter.IsLittleEndian,
            Accelerated = Vector128.IsHardwareAccelerated && Vector.IsHardwareAccelerated,
        };
    }
}
