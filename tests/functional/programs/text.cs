using System;
using System.Buffers.Text;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Programs;

/// <summary>A string encoded in every encoding, and decoded again.</summary>
public sealed class Encodings : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var text = question.GetString()!;
        return new[] { "utf-8", "utf-16", "utf-16BE", "utf-32", "us-ascii", "iso-8859-1" }.ToDictionary(
            name => name,
            name =>
            {
                var encoding = Encoding.GetEncoding(name);
                var bytes = encoding.GetBytes(text);
                return new { Bytes = Convert.ToHexString(bytes), Text = encoding.GetString(bytes) };
            });
    }
}

public sealed class Builder : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var builder = new StringBuilder();
        foreach (var step in question.EnumerateArray())
        {
            var arguments = step.EnumerateArray().ToArray();
            _ = arguments[0].GetString() switch
            {
                "append" => builder.Append(arguments[1].GetString()),
                "insert" => builder.Insert(arguments[1].GetInt32(), arguments[2].GetString()),
                "remove" => builder.Remove(arguments[1].GetInt32(), arguments[2].GetInt32()),
                "replace" => builder.Replace(arguments[1].GetString()!, arguments[2].GetString()),
                "clear" => builder.Clear(),
                var unknown => throw new ArgumentException(unknown),
            };
        }

        return new { Text = builder.ToString(), builder.Length };
    }
}

public sealed class Strings : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var text = question.GetString()!;
        var runes = text.EnumerateRunes().ToArray();
        return new
        {
            Split = text.Split(' '),
            Trimmed = text.Trim(' '),
            Reversed = string.Concat(runes.Reverse().Select(r => r.ToString())),
            Runes = runes.Select(r => r.Value).ToArray(),
            Utf16 = text.Length,
            Padded = text.PadLeft(40, '.'),
            Index = text.IndexOf("an", StringComparison.Ordinal),
            Replaced = text.Replace("a", "<>"),
            Base64 = Convert.ToBase64String(Encoding.UTF8.GetBytes(text)),
            Hex = Convert.ToHexString(Encoding.UTF8.GetBytes(text)),
            Escaped = Uri.EscapeDataString(text),
            Html = WebUtility.HtmlEncode(text),
            IsLetter = runes.Select(Rune.IsLetter).ToArray(),
            Raw = $$"""{"text": "{{text.Length}}"}""",
        };
    }
}

/// <summary>Matches of a pattern with their groups, by each of the three engines of Regex.</summary>
public sealed class RegexMatches : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var pattern = question.GetProperty("pattern").GetString()!;
        var text = question.GetProperty("text").GetString()!;
        return new[] { RegexOptions.None, RegexOptions.Compiled, RegexOptions.NonBacktracking }.Select(options =>
        {
            var regex = new Regex(pattern, options | RegexOptions.CultureInvariant);
            return new
            {
                Matches = regex.Matches(text).Select(m => m.Groups.Values.Select(g => g.Success ? g.Value : null)).ToArray(),
                Starts = regex.Matches(text).Select(m => m.Index).ToArray(),
                Replaced = regex.Replace(text, m => $"[{m.Value}]"),
            };
        }).ToArray();
    }
}

/// <summary>Takes exponential time on a run of "a".</summary>
public sealed class Catastrophe : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var text = Encoding.ASCII.GetString(input);
        var limited = text.StartsWith('!');
        var regex = new Regex("^(a+)+$", RegexOptions.None, limited ? TimeSpan.FromMilliseconds(50) : Regex.InfiniteMatchTimeout);
        return [(byte)(regex.IsMatch(text.TrimStart('!')) ? 1 : 0)];
    }
}
