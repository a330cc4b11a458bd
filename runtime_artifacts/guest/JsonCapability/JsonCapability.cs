using System;
using System.IO;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace MinimalRuntime.Json;

/// <summary>JSON for functions that ask for the capability <c>json</c>.</summary>
/// <remarks>
/// The options, and with them what the serializer learnt about types, are shared by the functions that
/// use the capability. A type that the serializer has seen stays known until the capability is
/// unloaded, also when the function that brought it is gone.
/// </remarks>
public static class JsonCapability
{
    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web);

    /// <summary>The value as UTF-8, names in camel case.</summary>
    public static byte[] Serialize<T>(T value) => JsonSerializer.SerializeToUtf8Bytes(value, Options);

    /// <summary>The value as UTF-8, by a generated contract.</summary>
    public static byte[] Serialize<T>(T value, JsonTypeInfo<T> contract) =>
        JsonSerializer.SerializeToUtf8Bytes(value, contract);

    /// <summary>A value from UTF-8; names match in any case.</summary>
    /// <exception cref="JsonException">It is not JSON, or not of this type.</exception>
    public static T? Deserialize<T>(ReadOnlySpan<byte> json) => JsonSerializer.Deserialize<T>(json, Options);

    /// <summary>A value from UTF-8, by a generated contract.</summary>
    /// <exception cref="JsonException">It is not JSON, or not of this type.</exception>
    public static T? Deserialize<T>(ReadOnlySpan<byte> json, JsonTypeInfo<T> contract) =>
        JsonSerializer.Deserialize(json, contract);

    /// <summary>A document that need not fit a type. Dispose it.</summary>
    /// <exception cref="JsonException">It is not JSON.</exception>
    public static JsonDocument Parse(ReadOnlySpan<byte> json) => JsonDocument.Parse(json.ToArray());

    /// <summary>The same JSON without white space.</summary>
    /// <exception cref="JsonException">It is not JSON.</exception>
    public static byte[] Minify(ReadOnlySpan<byte> json)
    {
        using var document = Parse(json);
        using var output = new MemoryStream();
        using (var writer = new Utf8JsonWriter(output))
        {
            document.RootElement.WriteTo(writer);
        }

        return output.ToArray();
    }
}
