using System;

namespace MinimalRuntime.Cryptography;

/// <summary>
/// The block cipher of FIPS 197. Its time depends on keys and data through the processor's cache.
/// </summary>
internal sealed class AesBlocks
{
    public const int Size = 16;

    private static readonly byte[] Substitution = new byte[256];
    private static readonly byte[] InverseSubstitution = new byte[256];

    private readonly byte[] roundKeys;
    private readonly int rounds;

    static AesBlocks()
    {
        // FIPS 197, 5.1.1: the inverse in GF(2^8), by generator 3 and its inverse, then an affine map.
        byte p = 1, q = 1;
        do
        {
            p = (byte)(p ^ Double(p));
            q ^= (byte)(q << 1);
            q ^= (byte)(q << 2);
            q ^= (byte)(q << 4);
            q ^= (byte)((q & 0x80) != 0 ? 0x09 : 0);
            var mapped = (byte)(q ^ Rotate(q, 1) ^ Rotate(q, 2) ^ Rotate(q, 3) ^ Rotate(q, 4) ^ 0x63);
            Substitution[p] = mapped;
            InverseSubstitution[mapped] = p;
        }
        while (p != 1);
        Substitution[0] = 0x63;
        InverseSubstitution[0x63] = 0;
    }

    public AesBlocks(ReadOnlySpan<byte> key)
    {
        if (key.Length is not (16 or 24 or 32))
        {
            throw new ArgumentException($"A key of AES has 16, 24 or 32 bytes, not {key.Length}.", nameof(key));
        }

        this.rounds = (key.Length / 4) + 6;
        this.roundKeys = new byte[(this.rounds + 1) * Size];
        key.CopyTo(this.roundKeys);
        Span<byte> word = stackalloc byte[4];
        byte constant = 1;
        for (var at = key.Length; at < this.roundKeys.Length; at += 4)
        {
            this.roundKeys.AsSpan(at - 4, 4).CopyTo(word);
            if (at % key.Length == 0)
            {
                var first = word[0];
                for (var i = 0; i < 4; i++)
                {
                    word[i] = Substitution[i == 3 ? first : word[i + 1]];
                }

                word[0] ^= constant;
                constant = Double(constant);
            }
            else if (key.Length == 32 && at % 32 == 16)
            {
                for (var i = 0; i < 4; i++)
                {
                    word[i] = Substitution[word[i]];
                }
            }

            for (var i = 0; i < 4; i++)
            {
                this.roundKeys[at + i] = (byte)(this.roundKeys[at + i - key.Length] ^ word[i]);
            }
        }
    }

    public void Encrypt(Span<byte> block)
    {
        this.AddKey(block, 0);
        for (var round = 1; round <= this.rounds; round++)
        {
            for (var i = 0; i < Size; i++)
            {
                block[i] = Substitution[block[i]];
            }

            ShiftRows(block, 1);
            if (round < this.rounds)
            {
                MixColumns(block);
            }

            this.AddKey(block, round);
        }
    }

    public void Decrypt(Span<byte> block)
    {
        this.AddKey(block, this.rounds);
        for (var round = this.rounds - 1; round >= 0; round--)
        {
            ShiftRows(block, 3);
            for (var i = 0; i < Size; i++)
            {
                block[i] = InverseSubstitution[block[i]];
            }

            this.AddKey(block, round);
            if (round > 0)
            {
                // The inverse of MixColumns is a power of it.
                MixColumns(block);
                MixColumns(block);
                MixColumns(block);
            }
        }
    }

    private static byte Double(byte value) => (byte)((value << 1) ^ ((value & 0x80) != 0 ? 0x1B : 0));

    private static byte Rotate(byte value, int bits) => (byte)((value << bits) | (value >> (8 - bits)));

    private static void ShiftRows(Span<byte> block, int step)
    {
        Span<byte> shifted = stackalloc byte[Size];
        for (var i = 0; i < Size; i++)
        {
            shifted[i] = block[(i + (4 * step * (i & 3))) & 15];
        }

        shifted.CopyTo(block);
    }

    private static void MixColumns(Span<byte> block)
    {
        for (var column = 0; column < Size; column += 4)
        {
            var (a, b, c, d) = (block[column], block[column + 1], block[column + 2], block[column + 3]);
            var all = (byte)(a ^ b ^ c ^ d);
            block[column] ^= (byte)(all ^ Double((byte)(a ^ b)));
            block[column + 1] ^= (byte)(all ^ Double((byte)(b ^ c)));
            block[column + 2] ^= (byte)(all ^ Double((byte)(c ^ d)));
            block[column + 3] ^= (byte)(all ^ Double((byte)(d ^ a)));
        }
    }

    private void AddKey(Span<byte> block, int round)
    {
        for (var i = 0; i < Size; i++)
        {
            block[i] ^= this.roundKeys[(round * Size) + i];
        }
    }
}
