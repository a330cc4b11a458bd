using System;
using System.Buffers.Binary;
using System.Numerics;

namespace MinimalRuntime.Cryptography;

/// <summary>
/// MD5 (RFC 1321) in C#, for what is already named or checked by it. It protects nothing.
/// </summary>
public static class ManagedMD5
{
    private const int BlockSize = 64;

    // RFC 1321, 3.4: the rotations of each round.
    private static readonly byte[] Rotations = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];

    // ... and the integer part of 4294967296 * abs(sin(i)).
    private static readonly uint[] Sines = MakeSines();

    /// <summary>The 16 bytes of the hash.</summary>
    public static byte[] HashData(ReadOnlySpan<byte> source)
    {
        Span<uint> state = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476];
        var rest = source;
        for (; rest.Length >= BlockSize; rest = rest[BlockSize..])
        {
            Mix(state, rest[..BlockSize]);
        }

        Span<byte> last = stackalloc byte[2 * BlockSize];
        last.Clear();
        rest.CopyTo(last);
        last[rest.Length] = 0x80;
        var length = rest.Length < BlockSize - sizeof(ulong) ? BlockSize : 2 * BlockSize;
        BinaryPrimitives.WriteUInt64LittleEndian(last[(length - sizeof(ulong))..], (ulong)source.Length * 8);
        for (var start = 0; start < length; start += BlockSize)
        {
            Mix(state, last.Slice(start, BlockSize));
        }

        var hash = new byte[16];
        for (var i = 0; i < state.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(hash.AsSpan(i * sizeof(uint)), state[i]);
        }

        return hash;
    }

    private static void Mix(Span<uint> state, ReadOnlySpan<byte> block)
    {
        var (a, b, c, d) = (state[0], state[1], state[2], state[3]);
        for (var i = 0; i < 64; i++)
        {
            var round = i >> 4;
            var (mixed, word) = round switch
            {
                0 => ((b & c) | (~b & d), i),
                1 => ((d & b) | (~d & c), (5 * i) + 1),
                2 => (b ^ c ^ d, (3 * i) + 5),
                _ => (c ^ (b | ~d), 7 * i),
            };
            var sum = a + mixed + Sines[i]
                + BinaryPrimitives.ReadUInt32LittleEndian(block[((word & 15) * sizeof(uint))..]);
            (a, d, c) = (d, c, b);
            b += BitOperations.RotateLeft(sum, Rotations[(round * 4) + (i & 3)]);
        }

        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
    }

    private static uint[] MakeSines()
    {
        var sines = new uint[64];
        for (var i = 0; i < sines.Length; i++)
        {
            sines[i] = (uint)(Math.Abs(Math.Sin(i + 1)) * 4294967296.0);
        }

        return sines;
    }
}
