using System;
using System.IO;
using Microsoft.Win32.SafeHandles;

namespace MinimalRuntime;

/// <summary>
/// <c>Console.In</c>, which .NET's build for browsers leaves out because a page has none.
/// </summary>
internal static class StandardInput
{
    /// <summary>Give the console a reader on descriptor 0.</summary>
    public static void Install() =>
        // By name: a base layer without System.Console has nothing to install.
        Type.GetType("System.Console, System.Console")?
            .GetMethod("SetIn")?
            .Invoke(null, [new StreamReader(new DescriptorStream(), bufferSize: 4096)]);

    /// <summary>Opened at the first read: an image that was never read from holds nothing open.</summary>
    private sealed class DescriptorStream : Stream
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
            this.file ??= new FileStream(
                new SafeFileHandle(IntPtr.Zero, ownsHandle: false), FileAccess.Read, bufferSize: 0);
            return this.file.Read(buffer, offset, count);
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) =>
            throw new NotSupportedException();
    }
}
