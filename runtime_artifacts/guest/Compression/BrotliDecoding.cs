using System;
using System.IO;

namespace MinimalRuntime.Compression;

/// <summary>One decoding: RFC 7932, sections 9 and 10.</summary>
internal ref struct BrotliDecoding
{
    private const int LiteralSymbols = 256, CommandSymbols = 704, BlockCountSymbols = 26;

    // Longer than any word with what goes before and behind it.
    private const int LongestWord = 64;

    private readonly int maximum;
    private readonly int[] recent = [4, 11, 15, 16];
    private BrotliBits bits;
    private byte[] output = new byte[4096];
    private int produced;
    private int window;

    public BrotliDecoding(ReadOnlySpan<byte> data, int maximum)
    {
        this.bits = new BrotliBits(data);
        this.maximum = maximum;
    }

    private static ReadOnlySpan<ushort> CountBase =>
    [
        1, 5, 9, 13, 17, 25, 33, 41, 49, 65, 81, 97, 113, 145, 177, 209, 241, 305, 369, 497, 753, 1265,
        2289, 4337, 8433, 16625,
    ];

    private static ReadOnlySpan<byte> CountExtra =>
        [2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 7, 8, 9, 10, 11, 12, 13, 24];

    private static ReadOnlySpan<ushort> InsertBase =>
    [
        0, 1, 2, 3, 4, 5, 6, 8, 10, 14, 18, 26, 34, 50, 66, 98, 130, 194, 322, 578, 1090, 2114, 6210, 22594,
    ];

    private static ReadOnlySpan<byte> InsertExtra =>
        [0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 12, 14, 24];

    private static ReadOnlySpan<ushort> CopyBase =>
    [
        2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 18, 22, 30, 38, 54, 70, 102, 134, 198, 326, 582, 1094, 2118,
    ];

    private static ReadOnlySpan<byte> CopyExtra =>
        [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 24];

    // By the symbol's upper bits: where the codes of both lengths begin.
    private static ReadOnlySpan<byte> InsertCells => [0, 0, 0, 0, 8, 8, 0, 16, 8, 16, 16];

    private static ReadOnlySpan<byte> CopyCells => [0, 8, 0, 8, 0, 8, 16, 0, 16, 8, 16];

    public byte[] Run()
    {
        this.window = (1 << this.ReadWindowBits()) - 16;
        var isLast = false;
        while (!isLast)
        {
            isLast = this.bits.TakeBit();
            if (isLast && this.bits.TakeBit())
            {
                break;
            }

            this.ReadMetaBlock(isLast);
        }

        this.bits.Align();
        if (this.bits.Left != 0)
        {
            throw new InvalidDataException("Brotli: something follows the end.");
        }

        return this.output[..this.produced];
    }

    private int ReadWindowBits()
    {
        if (!this.bits.TakeBit())
        {
            return 16;
        }

        var size = this.bits.Take(3);
        if (size != 0)
        {
            return 17 + size;
        }

        size = this.bits.Take(3);
        return size switch
        {
            0 => 17,
            1 => throw new InvalidDataException("Brotli: large windows are no part of RFC 7932."),
            _ => 8 + size,
        };
    }

    private void ReadMetaBlock(bool isLast)
    {
        var nibbles = this.bits.Take(2);
        if (nibbles == 3)
        {
            this.SkipMetadata(isLast);
            return;
        }

        var length = 0;
        for (var nibble = 0; nibble < nibbles + 4; nibble++)
        {
            var value = this.bits.Take(4);
            if (value == 0 && nibble >= 4 && nibble == nibbles + 3)
            {
                throw new InvalidDataException("Brotli: a length is written longer than it is.");
            }

            length |= value << (4 * nibble);
        }

        length++;
        if (length > this.maximum - this.produced)
        {
            throw new InvalidDataException($"Brotli: the content has more than {this.maximum} bytes.");
        }

        if (!isLast && this.bits.TakeBit())
        {
            this.bits.Align();
            var content = this.bits.Bytes(length);
            this.Reserve(length);
            content.CopyTo(this.output.AsSpan(this.produced));
            this.produced += length;
            return;
        }

        this.ReadCompressed(this.produced + length);
    }

    private void SkipMetadata(bool isLast)
    {
        if (isLast || this.bits.TakeBit())
        {
            throw new InvalidDataException("Brotli: metadata in a place where none may be.");
        }

        var size = this.bits.Take(2);
        var length = 0;
        for (var index = 0; index < size; index++)
        {
            var value = this.bits.Take(8);
            if (value == 0 && index > 0 && index == size - 1)
            {
                throw new InvalidDataException("Brotli: a length is written longer than it is.");
            }

            length |= value << (8 * index);
        }

        this.bits.Align();
        this.bits.Bytes(size == 0 ? 0 : length + 1);
    }

    private void ReadCompressed(int end)
    {
        var literals = new Blocks(ref this.bits);
        var commands = new Blocks(ref this.bits);
        var distances = new Blocks(ref this.bits);
        var postfix = this.bits.Take(2);
        var direct = this.bits.Take(4) << postfix;
        var modes = new byte[literals.Types];
        for (var index = 0; index < modes.Length; index++)
        {
            modes[index] = (byte)this.bits.Take(2);
        }

        var literalMap = this.ReadContextMap(literals.Types * 64, out var literalTrees);
        var distanceMap = this.ReadContextMap(distances.Types * 4, out var distanceTrees);
        var literalCodes = this.ReadCodes(literalTrees, LiteralSymbols);
        var commandCodes = this.ReadCodes(commands.Types, CommandSymbols);
        var distanceCodes = this.ReadCodes(distanceTrees, 16 + direct + (48 << postfix));
        while (this.produced < end)
        {
            commands.Next(ref this.bits);
            var command = commandCodes[commands.Type].Read(ref this.bits);
            var insertCode = InsertCells[command >> 6] + ((command >> 3) & 7);
            var copyCode = CopyCells[command >> 6] + (command & 7);
            var insert = InsertBase[insertCode] + this.bits.Take(InsertExtra[insertCode]);
            var copy = CopyBase[copyCode] + this.bits.Take(CopyExtra[copyCode]);
            if (insert > end - this.produced)
            {
                throw new InvalidDataException("Brotli: a command has more than its block.");
            }

            this.Reserve(insert);
            for (; insert > 0; insert--)
            {
                literals.Next(ref this.bits);
                var context = BrotliWords.Context(modes[literals.Type], this.Before(1), this.Before(2));
                var code = literalCodes[literalMap[(64 * literals.Type) + context]];
                this.output[this.produced++] = (byte)code.Read(ref this.bits);
            }

            if (this.produced == end)
            {
                break;
            }

            var symbol = 0;
            if (command >= 128)
            {
                distances.Next(ref this.bits);
                var context = Math.Min(copy, 5) - 2;
                symbol = distanceCodes[distanceMap[(4 * distances.Type) + context]].Read(ref this.bits);
            }

            this.Copy(symbol, this.ReadDistance(symbol, postfix, direct), copy, end);
        }
    }

    private readonly byte Before(int back) =>
        this.produced < back ? (byte)0 : this.output[this.produced - back];

    private int ReadDistance(int symbol, int postfix, int direct)
    {
        if (symbol < 16)
        {
            var index = symbol < 4 ? symbol : symbol < 10 ? 0 : 1;
            var step = symbol < 4 ? 0 : (((symbol - 4) % 6) >> 1) + 1;
            var distance = this.recent[index] + ((symbol & 1) == 0 ? -step : step);
            return distance > 0 ? distance : throw new InvalidDataException("Brotli: a distance of nothing.");
        }

        if (symbol < 16 + direct)
        {
            return symbol - 15;
        }

        symbol -= 16 + direct;
        var count = 1 + (symbol >> (postfix + 1));
        var high = symbol >> postfix;
        var offset = ((2L + (high & 1)) << count) - 4;
        var found = ((offset + this.bits.Take(count)) << postfix)
            + (symbol & ((1 << postfix) - 1)) + direct + 1;
        return found <= int.MaxValue ? (int)found : throw new InvalidDataException("Brotli: a distance too far.");
    }

    private void Copy(int symbol, int distance, int length, int end)
    {
        var farthest = Math.Min(this.window, this.produced);
        if (distance > farthest)
        {
            Span<byte> word = stackalloc byte[LongestWord];
            var size = BrotliWords.Write(length, distance - farthest - 1, word);
            if (size > end - this.produced)
            {
                throw new InvalidDataException("Brotli: a word has more than its block.");
            }

            this.Reserve(size);
            word[..size].CopyTo(this.output.AsSpan(this.produced));
            this.produced += size;
            return;
        }

        if (length > end - this.produced)
        {
            throw new InvalidDataException("Brotli: a copy has more than its block.");
        }

        if (symbol != 0)
        {
            Array.Copy(this.recent, 0, this.recent, 1, 3);
            this.recent[0] = distance;
        }

        this.Reserve(length);
        if (distance >= length)
        {
            this.output.AsSpan(this.produced - distance, length).CopyTo(this.output.AsSpan(this.produced));
            this.produced += length;
            return;
        }

        for (; length > 0; length--)
        {
            this.output[this.produced] = this.output[this.produced - distance];
            this.produced++;
        }
    }

    // What a header claims takes no memory: only what was decoded does.
    private void Reserve(int count)
    {
        if (this.output.Length - this.produced < count)
        {
            var wanted = Math.Max(2L * this.output.Length, (long)this.produced + count);
            Array.Resize(ref this.output, (int)Math.Min(wanted, Array.MaxLength));
        }
    }

    private PrefixCode[] ReadCodes(int count, int symbols)
    {
        var codes = new PrefixCode[count];
        for (var index = 0; index < count; index++)
        {
            codes[index] = BrotliCodes.Read(ref this.bits, symbols);
        }

        return codes;
    }

    private byte[] ReadContextMap(int size, out int trees)
    {
        var map = new byte[size];
        trees = BrotliCodes.ReadCount(ref this.bits);
        if (trees == 1)
        {
            return map;
        }

        var runs = this.bits.TakeBit() ? this.bits.Take(4) + 1 : 0;
        var code = BrotliCodes.Read(ref this.bits, trees + runs);
        for (var index = 0; index < size;)
        {
            var symbol = code.Read(ref this.bits);
            if (symbol > runs)
            {
                map[index++] = (byte)(symbol - runs);
                continue;
            }

            var zeros = symbol == 0 ? 1 : (1 << symbol) + this.bits.Take(symbol);
            index += zeros;
            if (index > size)
            {
                throw new InvalidDataException("Brotli: a context map is too long.");
            }
        }

        if (this.bits.TakeBit())
        {
            MoveToFront(map);
        }

        return map;
    }

    private static void MoveToFront(byte[] map)
    {
        Span<byte> front = stackalloc byte[256];
        for (var index = 0; index < front.Length; index++)
        {
            front[index] = (byte)index;
        }

        for (var index = 0; index < map.Length; index++)
        {
            int place = map[index];
            var value = front[place];
            front[..place].CopyTo(front[1..]);
            front[0] = value;
            map[index] = value;
        }
    }

    /// <summary>Blocks of one category: which type is the present one, and how long.</summary>
    private struct Blocks
    {
        private readonly PrefixCode? types;
        private readonly PrefixCode? counts;
        private int former;
        private int left;

        public Blocks(ref BrotliBits bits)
        {
            this.Types = BrotliCodes.ReadCount(ref bits);
            this.former = 1;
            this.left = int.MaxValue;
            if (this.Types > 1)
            {
                this.types = BrotliCodes.Read(ref bits, this.Types + 2);
                this.counts = BrotliCodes.Read(ref bits, BlockCountSymbols);
                this.left = this.ReadCount(ref bits);
            }
        }

        public int Types { get; }

        public int Type { get; private set; }

        public void Next(ref BrotliBits bits)
        {
            if (this.left == 0)
            {
                if (this.types is null)
                {
                    throw new InvalidDataException("Brotli: a block is too long.");
                }

                var code = this.types.Read(ref bits);
                var next = code == 0 ? this.former : code == 1 ? (this.Type + 1) % this.Types : code - 2;
                this.former = this.Type;
                this.Type = next;
                this.left = this.ReadCount(ref bits);
            }

            this.left--;
        }

        private readonly int ReadCount(ref BrotliBits bits)
        {
            var code = this.counts!.Read(ref bits);
            return CountBase[code] + bits.Take(CountExtra[code]);
        }
    }
}
