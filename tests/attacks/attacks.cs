using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;

namespace Attacks;

/// <summary>Does the harm that its payload asks for; an empty payload is answered with "fine".</summary>
public sealed unsafe class Attacker : MinimalRuntime.IFunctionHandler
{
    private static readonly List<object> Kept = [];
    private static long counter;

    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        switch (Encoding.UTF8.GetString(input))
        {
            case "":
                return "fine"u8.ToArray();
            case "loop":
                while (true)
                {
                    counter++;
                }

            case "regex":
                return [(byte)(Regex.IsMatch(new string('a', 60) + "!", "^(a+)+$") ? 1 : 0)];
            case "catch loop":
                while (true)
                {
                    try
                    {
                        throw new InvalidOperationException();
                    }
                    catch (InvalidOperationException)
                    {
                        counter++;
                    }
                }

            case "finally loop":
                try
                {
                    return [];
                }
                finally
                {
                    while (true)
                    {
                        counter++;
                    }
                }

            case "deadlock":
                new ManualResetEventSlim(false).Wait();
                return [];
            case "recursion":
                return [(byte)Recurse(1)];
            case "reflection":
                return [(byte)Reflect(1)];
            case "objects":
                while (true)
                {
                    Kept.Add(new byte[1 << 16]);
                }

            case "native":
                while (true)
                {
                    Marshal.WriteByte(Marshal.AllocHGlobal(1 << 20), 1);
                }

            case "string":
                return [(byte)new string('x', 0x3FFFFFDF).Length];
            case "array":
                return new byte[Array.MaxLength];
            case "arrays":
                return [(byte)new long[int.MaxValue - 100, 2].Length];
            case "marshal":
                Marshal.WriteInt32(unchecked((IntPtr)0xFFFF_FF00), 1);
                return [];
            case "unsafe":
                for (var i = 1; i < 1_000_000; i++)
                {
                    *(byte*)(i * 7919L % 48_000_000) = (byte)i;
                }

                return [];
            case "references":
                var number = 0x1234567;
                Kept.Add(Unsafe.As<int, object>(ref number));
                GC.Collect();
                return Encoding.UTF8.GetBytes(Kept[0].ToString()!);
            case "exit":
                Environment.Exit(3);
                return [];
            case "failfast":
                Environment.FailFast("enough");
                return [];
            case "cctor throws":
                return [(byte)Throwing.Value];
            case "cctor loops":
                return [(byte)Looping.Value];
            case "finalizer throws":
                Leave(() => new Thrower().Touch());
                return "fine"u8.ToArray();
            case "finalizer loops":
                Leave(() => new Looper().Touch());
                return "fine"u8.ToArray();
            case "message throws":
                throw new Unspeakable();
            case "huge message":
                throw new Exception(new string('m', 12_000_000));
            case "long chain":
                Exception chain = new();
                for (var i = 0; i < 20_000; i++)
                {
                    chain = new Exception("link", chain);
                }

                throw chain;
            case "result":
                return new byte[40_000_000];
            case "output":
                while (true)
                {
                    Console.WriteLine(new string('o', 10_000));
                }

            case "files":
                for (var i = 0; ; i++)
                {
                    File.WriteAllBytes($"/tmp/{i}", new byte[1_000_000]);
                }

            case "threads":
                for (var i = 0; i < 1000; i++)
                {
                    new Thread(() => counter++).Start();
                }

                return [];
            case "work items":
                for (var i = 0; i < 20_000; i++)
                {
                    ThreadPool.QueueUserWorkItem(_ => counter++);
                }

                return "fine"u8.ToArray();
            case "work loops":
                ThreadPool.QueueUserWorkItem(_ =>
                {
                    while (true)
                    {
                        counter++;
                    }
                });
                return "fine"u8.ToArray();
            case "work breeds":
                Breed();
                return "fine"u8.ToArray();
            case "timers":
                for (var i = 0; i < 2_000; i++)
                {
                    Kept.Add(new Timer(_ => counter++, null, 1, 1));
                }

                return "fine"u8.ToArray();
            case "sleep":
                Thread.Sleep(200);
                return "fine"u8.ToArray();
            default:
                throw new ArgumentException("no such attack");
        }
    }

    public static int Reflect(int depth) =>
        1 + (int)typeof(Attacker).GetMethod("Reflect")!.Invoke(null, [depth + 1])!;

    private static int Recurse(int depth) => depth == -1 ? 0 : 1 + Recurse(depth + 1);

    private static void Breed() => ThreadPool.QueueUserWorkItem(_ =>
    {
        Breed();
        Breed();
    });

    private static void Leave(Action make)
    {
        // The collector looks at the stack conservatively: one of several is not seen there.
        for (var i = 0; i < 4; i++)
        {
            make();
        }

        GC.Collect();
    }

    private static class Throwing
    {
        public static readonly int Value = int.Parse("many");
    }

    private static class Looping
    {
        public static readonly int Value = Forever();

        private static int Forever()
        {
            while (true)
            {
                counter++;
            }
        }
    }

    private sealed class Thrower
    {
        ~Thrower() => throw new InvalidOperationException("from a finalizer");

        public void Touch() => counter++;
    }

    private sealed class Looper
    {
        ~Looper()
        {
            while (true)
            {
                counter++;
            }
        }

        public void Touch() => counter++;
    }

    private sealed class Unspeakable : Exception
    {
        public override string Message => throw new InvalidOperationException("no message");

        public override string? StackTrace => throw new InvalidOperationException("no trace");

        public override string ToString() => throw new InvalidOperationException("no text");
    }
}
