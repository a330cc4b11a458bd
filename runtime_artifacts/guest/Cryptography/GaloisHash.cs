using System;
using System.Buffers.Binary;

namespace MinimalRuntime.Cryptography;

/// <summary>GHASH of NIST SP 800-38D, four bits at a time (Shoup's tables).</summary>
internal sealed class GaloisHash
{
    // SP 800-38D, 6.3: what comes back in when bits fall out on the right.
    private const ulong Reduction = 0xE1UL << 56;

    private readonly (ulong High, ulong Low)[] multiples = new (ulong, ulong)[16];
    private readonly ulong[] reductions = new ulong[16];
    private ulong high;
    private ulong low;

    public GaloisHash(AesBlocks blocks)
    {
        Span<byte> key = stackalloc byte[AesBlocks.Size];
        key.Clear();
        blocks.Encrypt(key);
        var multiple = (High: BinaryPrimitives.ReadUInt64BigEndian(key), Low: BinaryPrimitives.ReadUInt64BigEndian(key[8..]));
        for (var bit = 8; bit > 0; bit >>= 1)
        {
            this.multiples[bit] = multiple;
            multiple = Halve(multiple);
        }

        for (var i = 1; i < 16; i++)
        {
            var one = i & -i;
            var (first, rest) = (this.multiples[one], this.multiples[i ^ one]);
            this.multiples[i] = (first.High ^ rest.High, first.Low ^ rest.Low);
            var value = (High: 0UL, Low: (ulong)i);
            for (var bit = 0; bit < 4; bit++)
            {
                value = Halve(value);
            }

            this.reductions[i] = value.High;
        }
    }

    /// <summary>Add data, and zeros up to a whole block.</summary>
    public void Add(ReadOnlySpan<byte> data)
    {
        Span<byte> block = stackalloc byte[AesBlocks.Size];
        for (var rest = data; !rest.IsEmpty; rest = rest[Math.Min(block.Length, rest.Length)..])
        {
            block.Clear();
            rest[..Math.Min(block.Length, rest.Length)].CopyTo(block);
            this.high ^= BinaryPrimitives.ReadUInt64BigEndian(block);
            this.low ^= BinaryPrimitives.ReadUInt64BigEndian(block[8..]);
            this.Multiply();
        }
    }

    public byte[] ToArray()
    {
        var result = new byte[AesBlocks.Size];
        BinaryPrimitives.WriteUInt64BigEndian(result, this.high);
        BinaryPrimitives.WriteUInt64BigEndian(result.AsSpan(8), this.low);
        return result;
    }

    private static (ulong High, ulong Low) Halve((ulong High, ulong Low) value) =>
        ((value.High >> 1) ^ ((value.Low & 1) != 0 ? Reduction : 0), (value.Low >> 1) | (value.High << 63));

    private void Multiply()
    {
        var (h, l) = (0UL, 0UL);
        for (var shift = 0; shift < 128; shift += 4)
        {
            var digit = (int)((shift < 64 ? this.low >> shift : this.high >> (shift - 64)) & 15);
            var fallen = this.reductions[(int)(l & 15)];
            (h, l) = ((h >> 4) ^ fallen, (l >> 4) | (h << 60));
            var multiple = this.multiples[digit];
            (h, l) = (h ^ multiple.High, l ^ multiple.Low);
        }

        (this.high, this.low) = (h, l);
    }
}
