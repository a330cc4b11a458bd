using System;
using System.Text;
using MinimalRuntime;

namespace Programs
{
    /// <summary>Enters the host by hand, with addresses that are not its own.</summary>
    public sealed unsafe class Forging : IFunctionHandler
    {
        public byte[] Execute(ReadOnlySpan<byte> input)
        {
            var words = Encoding.UTF8.GetString(input).Split(' ');
            var call = stackalloc uint[9];
            for (var i = 0; i < 9 && i + 2 < words.Length; i++)
            {
                call[i] = uint.Parse(words[i + 2]);
            }

            var argument = words[1] == "call" ? (IntPtr)call : (IntPtr)int.Parse(words[1]);
            Interop.Runtime.InvokeJSImportST(int.Parse(words[0]), argument);
            return [1];
        }
    }
}

// Outside of any namespace: that is the name under which the runtime knows it.
internal static partial class Interop
{
    internal static class Runtime
    {
        [System.Runtime.CompilerServices.MethodImpl(
            System.Runtime.CompilerServices.MethodImplOptions.InternalCall)]
        public static extern void InvokeJSImportST(int number, IntPtr argument);
    }
}
