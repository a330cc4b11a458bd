using System;
using System.IO;
using Microsoft.Win32.SafeHandles;

namespace MinimalRuntime;

/// <summary>
/// <c>Console.In</c>, which .NET's build for browsers leaves out because a page has none.
/// </summary>
internal static class StandardInput
{
    private static TextReader? reader;

    /// <summary>Give the console a reader on descriptor 0.</summary>
    public static void Install()
    {
        // Synchronised, as the console hands it out: so that it is known again.
        reader = TextReader.Synchronized(new StreamReader(new DescriptorStream(), bufferSize: 4096));
        Console()?.GetMethod("SetIn")?.Invoke(null, [reader]);
    }

    /// <summary>Forget what was read; a reader that a program has set stays.</summary>
    public static void Renew()
    {
        if (reader is not null && ReferenceEquals(Console()?.GetProperty("In")?.GetValue(null), reader))
        {
            Install();
        }
    }

    // By name: a base layer without System.Console has nothing to install.
    private static Type? Console() => Type.GetType("System.Console, System.Console");

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
