using System.IO;

namespace MinimalRuntime.Compression;

/// <summary>A prefix code (RFC 7932, section 3): the lengths of its words say all.</summary>
internal sealed class PrefixCode
{
    public const int MaxLength = 15;
    private const int RootBits = 8;

    // By the next bits: length and symbol of a word that is no longer; 0 for longer ones.
    private readonly int[] root = new int[1 << RootBits];
    private readonly int[] counts = new int[MaxLength + 1];
    private readonly int[] symbols;

    /// <summary>A code of one symbol, which takes no bits.</summary>
    public PrefixCode(int symbol)
    {
        this.symbols = [symbol];
    }

    /// <summary>A complete code; lengths by symbol, 0 for those that it does not have.</summary>
    public PrefixCode(byte[] lengths)
    {
        foreach (var length in lengths)
        {
            this.counts[length]++;
        }

        this.counts[0] = 0;
        var next = new int[MaxLength + 2];
        var first = new int[MaxLength + 2];
        for (var length = 1; length <= MaxLength; length++)
        {
            next[length + 1] = next[length] + this.counts[length];
            first[length + 1] = (first[length] + this.counts[length]) << 1;
        }

        this.symbols = new int[next[MaxLength + 1]];
        for (var symbol = 0; symbol < lengths.Length; symbol++)
        {
            var length = lengths[symbol];
            if (length != 0)
            {
                this.symbols[next[length]++] = symbol;
                var word = first[length]++;
                if (length <= RootBits)
                {
                    this.Enter(word, length, symbol);
                }
            }
        }
    }

    /// <summary>The next symbol of a stream.</summary>
    public int Read(ref BrotliBits bits)
    {
        if (this.symbols.Length == 1)
        {
            return this.symbols[0];
        }

        var entry = this.root[bits.Peek(RootBits)];
        if (entry != 0)
        {
            bits.Skip(entry & 0xF);
            return entry >> 4;
        }

        // Word by word from the shortest on: words of a length follow each other.
        var word = 0;
        var start = 0;
        var index = 0;
        for (var length = 1; length <= MaxLength; length++)
        {
            word |= bits.Take(1);
            var count = this.counts[length];
            if (word - count < start)
            {
                return this.symbols[index + (word - start)];
            }

            index += count;
            start = (start + count) << 1;
            word <<= 1;
        }

        throw new InvalidDataException("Brotli: a word of no code.");
    }

    // Words come with their first bit lowest: every continuation is the same word.
    private void Enter(int word, int length, int symbol)
    {
        var reversed = 0;
        for (var bit = 0; bit < length; bit++)
        {
            reversed |= ((word >> bit) & 1) << (length - 1 - bit);
        }

        for (; reversed < 1 << RootBits; reversed += 1 << length)
        {
            this.root[reversed] = (symbol << 4) | length;
        }
    }
}
