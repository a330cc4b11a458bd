using System;
using System.Diagnostics;
using System.Reflection;
using System.Text;

namespace MinimalRuntime;

/// <summary>
/// <see cref="Debug"/> and <see cref="Trace"/> for the host: where .NET would write to a debugger.
/// </summary>
internal static unsafe class DebugLines
{
    private static readonly StringBuilder Line = new();

    /// <summary>Take what the default listener writes.</summary>
    public static void Install() =>
        // By name: a trimmed base library has no provider, and nothing writes to one then.
        Type.GetType("System.Diagnostics.DebugProvider")?
            .GetField("s_WriteCore", BindingFlags.Static | BindingFlags.NonPublic)?
            .SetValue(null, (Action<string>)Write);

    private static void Write(string text)
    {
        foreach (var c in text)
        {
            if (c == '\n')
            {
                Send(Line.ToString().TrimEnd('\r'));
                Line.Clear();
            }
            else
            {
                Line.Append(c);
            }
        }
    }

    private static void Send(string line)
    {
        var bytes = Encoding.UTF8.GetBytes(line);
        fixed (byte* start = bytes)
        {
            var piece = (Start: (IntPtr)start, bytes.Length);
            HostGate.Enter(HostGate.WriteDebug, (IntPtr)(&piece));
        }
    }
}
