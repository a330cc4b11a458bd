using System;
using System.Collections;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Threading;

namespace Programs;

/// <summary>What the runtime says of itself and of the machine.</summary>
public sealed class Machine : JsonHandler
{
    protected override object? Answer(JsonElement question) => new
    {
        Version = Environment.Version.ToString(),
        Framework = RuntimeInformation.FrameworkDescription,
        Identifier = RuntimeInformation.RuntimeIdentifier,
        IsBrowser = OperatingSystem.IsBrowser(),
        Variables = Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().ToDictionary(e => (string)e.Key, e => (string)e.Value!),
        Arguments = Environment.GetCommandLineArgs(),
        Processors = Environment.ProcessorCount,
        NewLine = Environment.NewLine,
        Pointer = IntPtr.Size,
        Directory = Environment.CurrentDirectory,
        User = Environment.UserName,
        Threads = Environment.CurrentManagedThreadId,
    };
}

public sealed class Clocks : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var watch = Stopwatch.StartNew();
        var now = DateTime.UtcNow;
        var offset = DateTimeOffset.Now;
        Thread.Sleep(question.GetInt32());
        return new
        {
            Now = now.ToString("yyyy-MM-dd'T'HH:mm:ss.fff"),
            Offset = offset.Offset.Ticks,
            Elapsed = watch.ElapsedMilliseconds,
            TickCount = Environment.TickCount64,
            Provider = TimeProvider.System.GetUtcNow().Year,
            Written = Written(),
        };
    }

    private static string Written()
    {
        File.WriteAllText("/tmp/now", "");
        return File.GetLastWriteTimeUtc("/tmp/now").ToString("yyyy-MM-dd'T'HH:mm:ss.fff");
    }
}

/// <summary>Writes what it is told to where it is told to.</summary>
public sealed class Printer : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        foreach (var step in question.EnumerateArray())
        {
            var text = step[1].GetString();
            switch (step[0].GetString())
            {
                case "out":
                    Console.Out.Write(text);
                    break;
                case "line":
                    Console.WriteLine(text);
                    break;
                case "error":
                    Console.Error.WriteLine(text);
                    break;
                case "raw":
                    using (var stream = Console.OpenStandardOutput())
                    {
                        stream.Write(Convert.FromHexString(text!));
                    }

                    break;
                case "many":
                    for (var i = step[2].GetInt32(); i > 0; i--)
                    {
                        Console.WriteLine(text);
                    }

                    break;
                default:
                    throw new ArgumentException(text);
            }
        }

        return "printed";
    }
}

/// <summary>Reads its standard input by lines, then the rest.</summary>
public sealed class Reader : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var lines = new List<string?>();
        for (var i = question.GetInt32(); i > 0; i--)
        {
            lines.Add(Console.In.ReadLine());
        }

        return new { Lines = lines, Rest = Console.In.ReadToEnd(), End = Console.In.ReadLine() };
    }
}

/// <summary>Everything that is random.</summary>
public sealed class Dice : JsonHandler
{
    protected override object? Answer(JsonElement question) => new
    {
        Guid = Guid.NewGuid(),
        Version7 = Guid.CreateVersion7(),
        Shared = Random.Shared.NextInt64(),
        New = new Random().NextInt64(),
        Crypto = Convert.ToHexString(System.Security.Cryptography.RandomNumberGenerator.GetBytes(16)),
        Text = "hash".GetHashCode(),
        Combined = HashCode.Combine(1, "two", 3.0),
        Order = new HashSet<string>(Enumerable.Range(0, 20).Select(i => $"{i}")).Order().First(),
        Now = DateTime.UtcNow.Ticks,
        Ticks = Environment.TickCount64,
        File = Path.GetRandomFileName(),
        Temp = Path.GetTempFileName(),
        Object = new object().GetHashCode(),
        Shuffled = Shuffle(),
    };

    private static int[] Shuffle()
    {
        var numbers = Enumerable.Range(0, 20).ToArray();
        Random.Shared.Shuffle(numbers);
        return numbers;
    }
}
