using System;
using System.Threading;
using System.Threading.Tasks;

namespace MinimalRuntime;

/// <summary>
/// A function that awaits. Like <see cref="IFunctionHandler"/>, except that other calls, also of the
/// same handler, run while one waits; there is one thread, so they never run at the same moment.
/// </summary>
public interface IAsyncFunctionHandler
{
    /// <summary>Handle one invocation.</summary>
    /// <param name="input">The payload; a copy that belongs to the call.</param>
    /// <param name="cancellation">
    /// Cancelled when the caller gives up or the call's time is over. Code that ends soon after
    /// ends properly; code that does not is stopped with its whole instance.
    /// </param>
    /// <returns>The result, never <see langword="null"/>; an empty array for no result.</returns>
    ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken cancellation);
}
