using System;
using System.Collections;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json;
using Microsoft.CodeAnalysis;

namespace MinimalRuntime.Session;

/// <summary>
/// What a cell gave: a byte that says what follows. <c>E</c>: errors of the compiler, one a line; <c>N</c>: nothing;
/// <c>B</c>: bytes; <c>V</c>: length and text of the value as C# prints it, then its JSON, empty if it has none.
/// </summary>
internal static class CellAnswer
{
    // What a notebook shows of a sequence that may have no end.
    private const int MaxItems = 10_000;

    private static readonly JsonSerializerOptions Options = new()
    {
        IncludeFields = true,
        NumberHandling = System.Text.Json.Serialization.JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    public static byte[] Refuse(IEnumerable<Diagnostic> diagnostics)
    {
        var errors = diagnostics.Where(d => d.Severity == DiagnosticSeverity.Error).Select(d => d.ToString());
        return [(byte)'E', .. Encoding.UTF8.GetBytes(string.Join('\n', errors))];
    }

    public static byte[] Of(object? value)
    {
        if (value is null)
        {
            return [(byte)'N'];
        }

        if (value is byte[] bytes)
        {
            return [(byte)'B', .. bytes];
        }

        var shown = value is IEnumerable sequence and not string and not IDictionary
            ? sequence.Cast<object?>().Take(MaxItems).ToList() : value;
        var output = new MemoryStream();
        using var writer = new BinaryWriter(output);
        var text = Encoding.UTF8.GetBytes(value.ToString() ?? "");
        writer.Write((byte)'V');
        writer.Write(text.Length);
        writer.Write(text);
        writer.Write(Json(shown));
        return output.ToArray();
    }

    private static byte[] Json(object value)
    {
        try
        {
            return JsonSerializer.SerializeToUtf8Bytes(value, value.GetType(), Options);
        }
        catch (Exception exception) when (exception is NotSupportedException or JsonException or InvalidOperationException)
        {
            return [];
        }
    }
}
