using System;
using System.IO;
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
        "json" => CopyJson("{\"name\": \"value\", \"numbers\": [1, 2.5, true, null]}"),
        var text => Encoding.UTF8.GetBytes($"{text} {text.Length}"),
    };

    // Not JsonSerializer: it draws the process-wide hash seeds, which would then be the same in
    // every instance of the image.
    private static byte[] CopyJson(string json)
    {
        using var document = JsonDocument.Parse(json);
        using var output = new MemoryStream();
        using (var writer = new Utf8JsonWriter(output))
        {
            document.RootElement.WriteTo(writer);
        }

        return output.ToArray();
    }
}
