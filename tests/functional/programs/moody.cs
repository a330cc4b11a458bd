using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;

namespace Programs;

/// <summary>
/// A function in every mood: <c>command</c> or <c>command argument</c> in, text out. Each call
/// counts in a static, so that answers show whether statics lived on.
/// </summary>
public sealed class Moody : MinimalRuntime.IFunctionHandler
{
    private static readonly List<byte[]> Kept = [];
    private static int calls;
    private readonly int number = ++instances;
    private static int instances;

    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        calls++;
        var text = Encoding.UTF8.GetString(input);
        var (command, argument) = text.Split(' ', 2) is [var first, var second] ? (first, second) : (text, "");
        switch (command)
        {
            case "count":
                return Encoding.UTF8.GetBytes(calls.ToString());
            case "instances":
                return Encoding.UTF8.GetBytes($"{number} of {instances}");
            case "throw":
                throw new InvalidOperationException(argument);
            case "exit":
                Environment.Exit(int.Parse(argument));
                break;
            case "failfast":
                Environment.FailFast(argument);
                break;
            case "overflow":
                return [(byte)Recurse(int.Parse("1"))];
            case "wild":
                Marshal.WriteInt32(unchecked((IntPtr)0x7fff_ff00), 1);
                break;
            case "loop":
                while (true)
                {
                }

            case "sleep":
                Thread.Sleep(int.Parse(argument));
                break;
            case "null":
                return null!;
            case "bytes":
                return new byte[int.Parse(argument)];
            case "keep":
                Kept.Add(new byte[int.Parse(argument)]);
                break;
            case "drop":
                Kept.Clear();
                break;
            case "print":
                Console.WriteLine(argument);
                break;
            case "exhaust":
                while (true)
                {
                    Kept.Add(new byte[1 << 20]);
                }

            case "native":
                while (true)
                {
                    Marshal.WriteByte(Marshal.AllocHGlobal(1 << 20), 1);
                }
        }

        return Encoding.UTF8.GetBytes(argument);
    }

    private static int Recurse(int depth) => depth == -1 ? 0 : 1 + Recurse(depth + 1);
}
