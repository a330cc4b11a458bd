using System;
using System.Buffers.Binary;
using System.Text;

namespace MinimalRuntime;

/// <summary>Reads the host's packed requests: 32-bit numbers and byte strings with a length.</summary>
internal ref struct RequestReader(ReadOnlySpan<byte> request)
{
    private ReadOnlySpan<byte> rest = request;

    public int Int32()
    {
        var value = BinaryPrimitives.ReadInt32LittleEndian(this.rest);
        this.rest = this.rest[sizeof(int)..];
        return value;
    }

    public ReadOnlySpan<byte> Bytes()
    {
        var length = this.Int32();
        var value = this.rest[..length];
        this.rest = this.rest[length..];
        return value;
    }

    public string Text() => Encoding.UTF8.GetString(this.Bytes());
}
