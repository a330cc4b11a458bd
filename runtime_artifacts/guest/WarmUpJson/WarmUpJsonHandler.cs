using System;
using System.IO;
using System.Text;
using System.Text.Json;

namespace MinimalRuntime.WarmUp;

/// <summary>
/// Copies JSON, in images that have <c>System.Text.Json</c>.
/// </summary>
public sealed class WarmUpJsonHandler : IFunctionHandler
{
    // Not JsonSerializer: it draws the process-wide hash seeds, which would then be the same in
    // every instance of the image.
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        using var document = JsonDocument.Parse(Encoding.UTF8.GetString(input));
        using var output = new MemoryStream();
        using (var writer = new Utf8JsonWriter(output))
        {
            document.RootElement.WriteTo(writer);
        }

        return output.ToArray();
    }
}
