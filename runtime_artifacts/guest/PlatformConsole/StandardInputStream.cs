using System;
using System.IO;
using Microsoft.Win32.SafeHandles;

namespace MinimalRuntime.Platform;

/// <summary>Descriptor 0, opened at the first read: an image that never read holds nothing open.</summary>
internal sealed class StandardInputStream : Stream
{
    private FileStream? file;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override int Read(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        this.file ??= new FileStream(
            new SafeFileHandle(IntPtr.Zero, ownsHandle: false), FileAccess.Read, bufferSize: 0);
        return this.file.Read(buffer, offset, count);
    }

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
