using System;
using System.Collections.Generic;
using System.Text;
using System.Text.Json;

namespace MinimalRuntime.WarmUp;

/// <summary>
/// Walks the paths that most functions take, while an image is built. What it initialises is
/// shared by all instances, so it touches no randomness, clock or hash seed.
/// </summary>
public sealed class WarmUpHandler : IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input) => Encoding.UTF8.GetString(input) switch
    {
        "throw" => throw new InvalidOperationException("warm-up"),
        "json" => JsonSerializer.SerializeToUtf8Bytes(
            JsonSerializer.Deserialize<Dictionary<string, int>>("{\"a\": 1}")),
        var text => Encoding.UTF8.GetBytes($"{text} {text.Length}"),
    };
}
