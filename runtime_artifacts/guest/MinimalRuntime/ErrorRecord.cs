using System;
using System.Collections.Generic;
using System.IO;
using System.Text;

namespace MinimalRuntime;

/// <summary>
/// An exception and its inner ones as bytes: a count, then for each (outermost first) its type,
/// message and stack trace as UTF-8 with a 32-bit length.
/// </summary>
internal static class ErrorRecord
{
    private const int LongestChain = 16;
    private const int LongestText = 64 * 1024;

    public static byte[] Encode(Exception exception)
    {
        var chain = new List<Exception>();
        for (Exception? e = exception; e is not null && chain.Count < LongestChain; e = e.InnerException)
        {
            chain.Add(e);
        }

        var output = new MemoryStream();
        using var writer = new BinaryWriter(output);
        writer.Write(chain.Count);
        foreach (var e in chain)
        {
            Write(writer, e.GetType().FullName ?? e.GetType().Name);
            Write(writer, Message(e));
            Write(writer, StackTrace(e));
        }

        return output.ToArray();
    }

    /// <summary>Type, message and stack trace for people to read.</summary>
    public static string Text(Exception e) => $"{e.GetType().FullName}: {Message(e)}\n{StackTrace(e)}".TrimEnd();

    // Message and StackTrace are virtual: user code may stand behind them and throw.
    public static string Message(Exception e)
    {
        try
        {
            // Mono leaves the message of a missing file empty; its name says more.
            return e is FileNotFoundException { Message: "" } missing
                ? $"Could not load file or assembly '{missing.FileName}'."
                : e.Message;
        }
        catch (Exception second)
        {
            return $"(Message threw {second.GetType().FullName})";
        }
    }

    private static string StackTrace(Exception e)
    {
        try
        {
            return e.StackTrace ?? "";
        }
        catch (Exception second)
        {
            return $"(StackTrace threw {second.GetType().FullName})";
        }
    }

    private static void Write(BinaryWriter writer, string? text)
    {
        text ??= "";
        if (text.Length > LongestText)
        {
            text = string.Concat(text.AsSpan(0, LongestText), "...");
        }

        var bytes = Encoding.UTF8.GetBytes(text);
        writer.Write(bytes.Length);
        writer.Write(bytes);
    }
}
