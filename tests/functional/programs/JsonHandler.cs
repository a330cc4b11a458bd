using System;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Programs;

/// <summary>A handler that is asked and answers in JSON.</summary>
public abstract class JsonHandler : MinimalRuntime.IFunctionHandler
{
    private static readonly JsonSerializerOptions Options = new()
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        IncludeFields = true,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        using var question = JsonDocument.Parse(input.ToArray());
        return JsonSerializer.SerializeToUtf8Bytes(Answer(question.RootElement), Options);
    }

    protected abstract object? Answer(JsonElement question);
}
