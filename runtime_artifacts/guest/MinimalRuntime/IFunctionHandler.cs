using System;

namespace MinimalRuntime;

/// <summary>
/// A function. The host makes one instance with its public parameterless constructor when the
/// assembly is loaded and calls it once per invocation, never from two threads at a time.
/// </summary>
public interface IFunctionHandler
{
    /// <summary>Handle one invocation.</summary>
    /// <param name="input">
    /// The payload, as the caller gave it. It is the host's buffer and valid during the call only.
    /// </param>
    /// <returns>The result, never <see langword="null"/>; an empty array for no result.</returns>
    byte[] Execute(ReadOnlySpan<byte> input);
}
