using System;
using System.Buffers.Binary;

namespace MinimalRuntime;

/// <summary>Results one after the other, each behind its 32-bit length.</summary>
internal ref struct ResultWriter()
{
    private const int Large = 1024 * 1024;

    private byte[] buffer = new byte[4096];
    private int length;

    public readonly bool IsLarge => this.length >= Large;

    public void Append(byte[] result)
    {
        var end = this.length + sizeof(int) + result.Length;
        if (end > this.buffer.Length)
        {
            Array.Resize(ref this.buffer, Math.Max(end, this.buffer.Length * 2));
        }

        BinaryPrimitives.WriteInt32LittleEndian(this.buffer.AsSpan(this.length), result.Length);
        result.CopyTo(this.buffer, this.length + sizeof(int));
        this.length = end;
    }

    public readonly byte[] ToArray() => this.buffer.AsSpan(0, this.length).ToArray();
}
