using System;
using System.Threading;
using System.Threading.Tasks;

namespace MinimalRuntime;

/// <summary>Functions of the host that this runtime was given.</summary>
public static class Host
{
    /// <summary>Call a host function and wait for what it returns.</summary>
    /// <param name="function">The name the host gave it.</param>
    /// <param name="input">Its argument.</param>
    /// <returns>Its result.</returns>
    /// <exception cref="HostFunctionException">
    /// It raised an exception, or there is no function of this name. If nobody catches it here, the
    /// host's caller gets the host's own exception back, unchanged.
    /// </exception>
    public static byte[] Call(string function, ReadOnlySpan<byte> input) => HostCalls.Call(function, input);

    /// <summary>
    /// Call a host function without holding anybody up: other calls go on while it runs. A coroutine
    /// runs on the host's event loop, another function on a thread of the host's.
    /// </summary>
    /// <param name="function">The name the host gave it.</param>
    /// <param name="input">Its argument.</param>
    /// <param name="cancellation">Cancels a coroutine; another function is only no longer waited for.</param>
    /// <returns>Its result.</returns>
    /// <exception cref="HostFunctionException">As for <see cref="Call"/>.</exception>
    public static Task<byte[]> CallAsync(
        string function, ReadOnlyMemory<byte> input, CancellationToken cancellation = default) =>
        HostCalls.CallAsync(function, input.Span, cancellation);
}
