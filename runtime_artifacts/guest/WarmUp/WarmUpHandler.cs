using System;
using System.Text;

namespace MinimalRuntime.WarmUp;

/// <summary>
/// Walks the paths that all functions take, while an image is built. What it initialises is shared
/// by all instances, so it touches no randomness, clock or hash seed.
/// </summary>
public sealed class WarmUpHandler : IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input) => Encoding.UTF8.GetString(input) switch
    {
        "throw" => throw new InvalidOperationException("warm-up"),
        var text => Encoding.UTF8.GetBytes($"{text} {text.Length}"),
    };
}
