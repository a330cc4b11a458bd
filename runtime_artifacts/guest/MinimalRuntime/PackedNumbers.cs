using System;

namespace MinimalRuntime;

/// <summary>Reads numbers of one, two or four bytes, packed as ECMA-335 II.23.2 says.</summary>
internal ref struct PackedNumbers(ReadOnlySpan<byte> content)
{
    public ReadOnlySpan<byte> Rest { get; private set; } = content;

    public readonly bool IsAtEnd => this.Rest.IsEmpty;

    public int Unsigned() => this.Read(out _);

    // The sign is the lowest bit, and the others are those of the two's complement.
    public int Signed()
    {
        var value = this.Read(out var bits);
        return (value & 1) == 0 ? value >> 1 : (value >> 1) - (1 << (bits - 1));
    }

    private int Read(out int bits)
    {
        var rest = this.Rest;
        var first = rest[0];
        if (first < 0x80)
        {
            bits = 7;
            this.Rest = rest[1..];
            return first;
        }

        if (first < 0xC0)
        {
            bits = 14;
            this.Rest = rest[2..];
            return ((first & 0x3F) << 8) | rest[1];
        }

        bits = 29;
        this.Rest = rest[4..];
        return ((first & 0x1F) << 24) | (rest[1] << 16) | (rest[2] << 8) | rest[3];
    }
}
