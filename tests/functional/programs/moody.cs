using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;

namespace Programs;

/// <summary>
/// A function in every mood: <c>command</c> or <c>command argument</c> in, text out. Each call
/// counts in a static, so that answers show whether statics lived on. What not every image has is
/// in a method of its own, which .NET compiles when it is first called.
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
                Exit(argument);
                break;
            case "failfast":
                FailFast(argument);
                break;
            case "overflow":
                return [(byte)Recurse(int.Parse("1"))];
            case "wild":
                WriteSomewhere();
                break;
            case "loop":
                while (true)
                {
                }

            case "sleep":
                Sleep(argument);
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
                Print(argument);
                break;
            case "exhaust":
                while (true)
                {
                    Kept.Add(new byte[1 << 20]);
                }

            case "native":
                ExhaustNative();
                break;
        }

        return Encoding.UTF8.GetBytes(argument);
    }

    private static int Recurse(int depth) => depth == -1 ? 0 : 1 + Recurse(depth + 1);

    private static void Exit(string code) => Environment.Exit(int.Parse(code));

    private static void FailFast(string message) => Environment.FailFast(message);

    private static unsafe void WriteSomewhere() => *(int*)0x7fff_ff00 = 1;

    private static void Sleep(string milliseconds) => Thread.Sleep(int.Parse(milliseconds));

    private static void Print(string text) => Console.WriteLine(text);

    private static void ExhaustNative()
    {
        while (true)
        {
            Marshal.WriteByte(Marshal.AllocHGlobal(1 << 20), 1);
        }
    }
}
