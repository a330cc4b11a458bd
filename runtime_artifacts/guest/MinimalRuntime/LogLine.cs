using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Text;

namespace MinimalRuntime;

/// <summary>A log line as bytes for the host: level, text, template, exception, named values.</summary>
internal static unsafe class LogLine
{
    public static void Write(LogLevel level, Exception? exception, string template, object?[] values)
    {
        var names = new List<string>();
        var text = Render(template, values, names);
        var output = new MemoryStream();
        using var writer = new BinaryWriter(output);
        writer.Write((int)level);
        WriteText(writer, text);
        WriteText(writer, template);
        WriteText(writer, exception is null ? "" : ErrorRecord.Text(exception));
        writer.Write(names.Count);
        for (var i = 0; i < names.Count; i++)
        {
            WriteText(writer, names[i]);
            WriteValue(writer, i < values.Length ? values[i] : null);
        }

        var record = output.ToArray();
        fixed (byte* start = record)
        {
            var line = (Start: (IntPtr)start, record.Length);
            HostGate.Enter(HostGate.WriteLog, (IntPtr)(&line));
        }
    }

    /// <summary>Fill the holes; the names that were found, in order, are added to the list.</summary>
    private static string Render(string template, object?[] values, List<string> names)
    {
        var text = new StringBuilder();
        for (var i = 0; i < template.Length; i++)
        {
            var c = template[i];
            if (c is '{' or '}' && i + 1 < template.Length && template[i + 1] == c)
            {
                text.Append(c);
                i++;
                continue;
            }

            var end = c == '{' ? template.IndexOf('}', i) : -1;
            if (end < 0)
            {
                text.Append(c);
                continue;
            }

            var hole = template.AsSpan(i + 1, end - i - 1);
            var split = hole.IndexOfAny(',', ':');
            var index = names.Count;
            names.Add((split < 0 ? hole : hole[..split]).Trim().ToString());
            if (index < values.Length)
            {
                var format = string.Concat("{0", split < 0 ? "" : hole[split..], "}");
                text.AppendFormat(CultureInfo.InvariantCulture, format, values[index] ?? "(null)");
            }
            else
            {
                text.Append(template, i, end - i + 1);
            }

            i = end;
        }

        return text.ToString();
    }

    private static void WriteValue(BinaryWriter writer, object? value)
    {
        switch (value)
        {
            case null:
                writer.Write((byte)'n');
                break;
            case bool flag:
                writer.Write(flag ? (byte)'t' : (byte)'f');
                break;
            case sbyte or byte or short or ushort or int or uint or long:
                writer.Write((byte)'i');
                writer.Write(Convert.ToInt64(value, CultureInfo.InvariantCulture));
                break;
            case float or double:
                writer.Write((byte)'d');
                writer.Write(Convert.ToDouble(value, CultureInfo.InvariantCulture));
                break;
            default:
                writer.Write((byte)'s');
                WriteText(writer, Convert.ToString(value, CultureInfo.InvariantCulture) ?? "");
                break;
        }
    }

    private static void WriteText(BinaryWriter writer, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        writer.Write(bytes.Length);
        writer.Write(bytes);
    }
}
