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
        /// <summary>Call a host function; the argument is the address of a HostCall.</summary>
        public const int Call = -1;

        /// <summary>A <see cref="PendingCall"/> is finished; the argument is nothing.</summary>
        public const int CallFinished = -2;

        /// <summary>A result too large for its HostCall; the argument is where to put it.</summary>
        public const int TakeResult = -3;

        /// <summary>Begin a call that ends later; the argument is the address of a HostCall.</summary>
        public const int BeginCall = -4;

        /// <summary>Nobody waits for a call any more; the argument is its id.</summary>
        public const int CancelCall = -5;

        /// <summary>Write a log line; the argument is the address of an address and a length.</summary>
        public const int WriteLog = -6;

        /// <summary>Write a line of Debug or Trace; the argument as for a log line.</summary>
        public const int WriteDebug = -7;

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
