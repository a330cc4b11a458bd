using System;
using System.Buffers.Binary;
using System.IO;
using System.Numerics;
using System.Text;

namespace MinimalRuntime;

/// <summary>
/// Files and lines of the methods of one assembly: what a portable PDB has in its tables Document
/// and MethodDebugInformation (dotnet/runtime, PortablePdb-Metadata.md). What is read is somebody
/// else's: every access is checked, and what is malformed throws.
/// </summary>
internal sealed class PortablePdb
{
    private const uint Magic = 0x424A5342;
    private const int DocumentTable = 0x30;
    private const int MethodDebugInformationTable = 0x31;
    private const int MethodDefinition = 0x06;
    private const int LongestName = 1024;

    private readonly byte[] content;
    private readonly int blobHeap;
    private readonly int blobHeapSize;
    private readonly int documentCount;
    private readonly int methodCount;
    private readonly int blobWidth;
    private readonly int guidWidth;
    private readonly int documents;
    private readonly int methods;

    public PortablePdb(byte[] content)
    {
        this.content = content;
        (this.blobHeap, this.blobHeapSize) = this.Stream("#Blob");
        var (tables, _) = this.Stream("#~");
        var heapSizes = content[tables + 6];
        this.guidWidth = (heapSizes & 2) != 0 ? 4 : 2;
        this.blobWidth = (heapSizes & 4) != 0 ? 4 : 2;
        var present = BinaryPrimitives.ReadUInt64LittleEndian(content.AsSpan(tables + 8));
        if ((present & ((1UL << DocumentTable) - 1)) != 0 || (present >> DocumentTable & 3) != 3)
        {
            throw new BadImageFormatException("This PDB has other tables than are known.");
        }

        this.documentCount = this.Number(tables + 24, sizeof(int));
        this.methodCount = this.Number(tables + 28, sizeof(int));
        this.documents = tables + 24 + (BitOperations.PopCount(present) * sizeof(int));
        this.methods = checked(this.documents + (this.documentCount * this.DocumentSize));
    }

    private int DocumentSize => 2 * (this.blobWidth + this.guidWidth);

    private int DocumentWidth => this.documentCount < 0x10000 ? 2 : 4;

    /// <summary>File and line of an offset in a method's IL; no file if there is none.</summary>
    public (string? File, int Line) Find(int methodToken, int offset)
    {
        var number = methodToken & 0xFFFFFF;
        if (methodToken >> 24 != MethodDefinition || number == 0 || number > this.methodCount)
        {
            return default;
        }

        var row = this.methods + ((number - 1) * (this.DocumentWidth + this.blobWidth));
        var document = this.Number(row, this.DocumentWidth);
        var blob = this.Number(row + this.DocumentWidth, this.blobWidth);
        if (blob == 0)
        {
            return default;
        }

        var points = new PackedNumbers(this.Blob(blob));
        points.Unsigned(); // the signature of the locals
        if (document == 0)
        {
            document = points.Unsigned();
        }

        var (file, line) = SequencePoint(ref points, document, offset);
        return line == 0 ? default : (this.DocumentName(file), line);
    }

    // The last point that is not hidden, at or before the offset: its document and line.
    private static (int Document, int Line) SequencePoint(
        ref PackedNumbers points, int document, int offset)
    {
        (int Document, int Line) found = default;
        var at = 0;
        var isFirst = true;
        while (!points.IsAtEnd)
        {
            var distance = points.Unsigned();
            if (distance == 0 && !isFirst)
            {
                document = points.Unsigned();
                continue;
            }

            at += distance;
            if (at > offset)
            {
                break;
            }

            isFirst = false;
            var lines = points.Unsigned();
            var columns = lines == 0 ? points.Unsigned() : points.Signed();
            if (lines == 0 && columns == 0)
            {
                continue;
            }

            if (found.Line == 0)
            {
                found.Line = points.Unsigned();
                points.Unsigned();
            }
            else
            {
                found.Line += points.Signed();
                points.Signed();
            }

            found.Document = document;
        }

        return found;
    }

    private string? DocumentName(int number)
    {
        if (number < 1 || number > this.documentCount)
        {
            return null;
        }

        var row = this.documents + ((number - 1) * this.DocumentSize);
        var name = this.Blob(this.Number(row, this.blobWidth));
        var separator = (char)name[0];
        var parts = new PackedNumbers(name[1..]);
        var text = new StringBuilder();
        for (var isFirst = true; !parts.IsAtEnd; isFirst = false)
        {
            if (!isFirst && separator != 0)
            {
                text.Append(separator);
            }

            var part = this.Blob(parts.Unsigned());
            if (text.Length + part.Length > LongestName)
            {
                return null;
            }

            text.Append(Encoding.UTF8.GetString(part));
        }

        return text.ToString();
    }

    private ReadOnlySpan<byte> Blob(int index)
    {
        var heap = this.content.AsSpan(this.blobHeap, this.blobHeapSize);
        var rest = new PackedNumbers(heap[index..]);
        var size = rest.Unsigned();
        return rest.Rest[..size];
    }

    private (int Start, int Size) Stream(string name)
    {
        if (BinaryPrimitives.ReadUInt32LittleEndian(this.content) != Magic)
        {
            throw new BadImageFormatException("No portable PDB.");
        }

        // The version text, flags and the number of streams, then the streams.
        var at = checked(16 + this.Number(12, sizeof(int)) + 4);
        for (var left = this.Number(at - 2, sizeof(ushort)); left > 0; left--)
        {
            var end = Array.IndexOf(this.content, (byte)0, at + 8);
            var found = Encoding.ASCII.GetString(this.content.AsSpan((at + 8)..end));
            if (found == name)
            {
                return (this.Number(at, sizeof(int)), this.Number(at + 4, sizeof(int)));
            }

            at += 8 + ((found.Length + 4) & ~3);
        }

        throw new InvalidDataException($"This PDB has no stream {name}.");
    }

    private int Number(int at, int width) => width == sizeof(ushort)
        ? BinaryPrimitives.ReadUInt16LittleEndian(this.content.AsSpan(at))
        : BinaryPrimitives.ReadInt32LittleEndian(this.content.AsSpan(at));
}
