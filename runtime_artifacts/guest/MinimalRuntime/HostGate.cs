using System;
using System.Runtime.CompilerServices;

namespace MinimalRuntime
{
    /// <summary>
    /// The way from managed code to the host: the runtime's import for calls by number. Positive
    /// numbers are JavaScript functions that were bound; the host takes these negative ones itself
    /// (<c>dotnet_wasm_host/imports/gate.py</c>).
    /// </summary>
    internal static class HostGate
    {
        /// <summary>A <see cref="PendingCall"/> is finished; the argument is nothing.</summary>
        public const int CallFinished = -2;

        public static void Enter(int number, IntPtr argument) =>
            Interop.Runtime.InvokeJSImportST(number, argument);
    }
}

// Mono registers its internal calls by the name of class and method, whatever the assembly.
internal static partial class Interop
{
    internal static class Runtime
    {
        [MethodImpl(MethodImplOptions.InternalCall)]
        public static extern void InvokeJSImportST(int number, IntPtr argument);
    }
}
