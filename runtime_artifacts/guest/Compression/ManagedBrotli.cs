using System;
using System.IO;

namespace MinimalRuntime.Compression;

/// <summary>Decodes Brotli (RFC 7932), which .NET's build for browsers cannot.</summary>
public static class ManagedBrotli
{
    /// <summary>Decode a whole stream.</summary>
    /// <param name="data">The stream, and nothing behind it.</param>
    /// <param name="maximum">How many bytes the result may have.</param>
    /// <exception cref="InvalidDataException">It is no Brotli, ends too early, or has more.</exception>
    public static byte[] Decompress(ReadOnlySpan<byte> data, int maximum = int.MaxValue)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maximum);
        return new BrotliDecoding(data, maximum).Run();
    }

    /// <summary>The decoded content of a stream, which is read to its end and left open.</summary>
    /// <param name="stream">Where the data is read from.</param>
    /// <param name="maximum">How many bytes the result may have.</param>
    /// <exception cref="InvalidDataException">It is no Brotli, ends too early, or has more.</exception>
    public static Stream OpenRead(Stream stream, int maximum = int.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(stream);
        using var data = new MemoryStream();
        stream.CopyTo(data);
        return new MemoryStream(
            Decompress(data.GetBuffer().AsSpan(0, (int)data.Length), maximum), writable: false);
    }
}
