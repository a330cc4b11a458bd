using System;
using System.Formats.Tar;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Text;

namespace Programs;

/// <summary>The first payload byte names a format and a direction; the rest is what to convert.</summary>
public sealed class Compression : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var data = new MemoryStream(input[1..].ToArray());
        var output = new MemoryStream();
        var command = (char)input[0];
        if (char.IsUpper(command))
        {
            using var compressing = Open(command, output, CompressionMode.Compress);
            data.CopyTo(compressing);
        }
        else
        {
            using var decompressing = Open(char.ToUpperInvariant(command), data, CompressionMode.Decompress);
            decompressing.CopyTo(output);
        }

        return output.ToArray();
    }

    private static Stream Open(char format, Stream stream, CompressionMode mode) => format switch
    {
        'G' => new GZipStream(stream, mode),
        'D' => new DeflateStream(stream, mode),
        'Z' => new ZLibStream(stream, mode),
        'B' => new BrotliStream(stream, mode),
        _ => throw new ArgumentException(format.ToString()),
    };
}

/// <summary>Lists a ZIP and writes another one with every entry reversed and one more.</summary>
public sealed class Zip : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var output = new MemoryStream();
        using (var source = new ZipArchive(new MemoryStream(input.ToArray())))
        using (var target = new ZipArchive(output, ZipArchiveMode.Create))
        {
            foreach (var entry in source.Entries)
            {
                using var reader = new StreamReader(entry.Open());
                using var writer = new StreamWriter(target.CreateEntry("reversed/" + entry.FullName).Open());
                writer.Write(string.Concat(reader.ReadToEnd().Reverse()));
            }

            using var list = new StreamWriter(target.CreateEntry("list.txt", CompressionLevel.NoCompression).Open());
            list.Write(string.Join('\n', source.Entries.Select(e => $"{e.FullName} {e.Length}")));
        }

        return output.ToArray();
    }
}

/// <summary>Opens a TAR, which the browser build of .NET leaves out.</summary>
public sealed class Tar : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        using var reader = new TarReader(new MemoryStream(input.ToArray()));
        return Encoding.UTF8.GetBytes(reader.GetNextEntry()?.Name ?? "");
    }
}
