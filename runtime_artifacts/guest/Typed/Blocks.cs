using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace MinimalRuntime.Typed;

/// <summary>Values one behind the other with their count before them; for generated code only.</summary>
public static class Blocks
{
    /// <summary>Values that lie in a payload at an offset, which moves behind them; empty for null.</summary>
    public static ReadOnlySpan<T> Span<T>(ReadOnlySpan<byte> input, ref int at)
        where T : unmanaged
    {
        var count = MemoryMarshal.Read<int>(input[at..]);
        at += sizeof(int);
        return count <= 0 ? default : MemoryMarshal.Cast<byte, T>(Take<T>(input, count, ref at));
    }

    /// <summary>A copy of them, or null.</summary>
    public static T[]? Array<T>(ReadOnlySpan<byte> input, ref int at)
        where T : unmanaged
    {
        var count = MemoryMarshal.Read<int>(input[at..]);
        at += sizeof(int);
        if (count <= 0)
        {
            return count < 0 ? null : [];
        }

        var taken = Take<T>(input, count, ref at);
        var made = new T[count];
        Unsafe.CopyBlockUnaligned(
            ref Unsafe.As<T, byte>(ref MemoryMarshal.GetArrayDataReference(made)),
            ref MemoryMarshal.GetReference(taken),
            (uint)taken.Length);
        return made;
    }

    private static ReadOnlySpan<byte> Take<T>(ReadOnlySpan<byte> input, int count, ref int at)
    {
        var taken = input.Slice(at, checked(count * Unsafe.SizeOf<T>()));
        at += taken.Length;
        return taken;
    }
}
