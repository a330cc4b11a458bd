using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Channels;
using System.Threading.Tasks;
using MinimalRuntime;

namespace Programs;

/// <summary>Does what its payload says, and then answers with the payload.</summary>
public sealed class Awaiting : IAsyncFunctionHandler
{
    private static readonly AsyncLocal<string?> Local = new();
    private static TaskCompletionSource? gate;
    private static int running;

    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken cancellation)
    {
        var words = Encoding.UTF8.GetString(input.Span).Split(' ');
        var number = words.Length > 1 ? int.Parse(words[1]) : 0;
        switch (words[0])
        {
            case "now":
                break;
            case "delay":
                await Task.Delay(number, cancellation);
                break;
            case "throw":
                await Task.Yield();
                throw new InvalidOperationException("later", new ArgumentException("inside"));
            case "null":
                await Task.Yield();
                return null!;
            case "large":
                await Task.Yield();
                return new byte[number];
            case "spin":
                await Task.Delay(1);
                while (true)
                {
                }

            case "exit":
                await Task.Delay(number);
                Environment.Exit(3);
                break;
            case "deaf":
                await Task.Delay(number);
                break;
            case "partial":
                try
                {
                    await Task.Delay(-1, cancellation);
                }
                catch (OperationCanceledException)
                {
                    return "what there was"u8.ToArray();
                }

                break;
            case "careless":
                cancellation.Register(() => throw new InvalidOperationException("callback"));
                await Task.Delay(-1, cancellation);
                break;
            case "wait":
                gate = new TaskCompletionSource();
                await gate.Task;
                break;
            case "open":
                gate!.SetResult();
                break;
            case "peak":
                running++;
                await Task.Delay(number, cancellation);
                var peak = running;
                await Task.Delay(1, CancellationToken.None);
                running--;
                return Encoding.UTF8.GetBytes($"{peak}");
            case "flow":
                Local.Value = words[1];
                await Task.WhenAll(Task.Run(() => { }), Task.Delay(5, cancellation));
                return Encoding.UTF8.GetBytes(Local.Value!);
            case "before":
                return Encoding.UTF8.GetBytes(Local.Value ?? "nothing");
        }

        return input.ToArray();
    }
}

/// <summary>The parts of the library that asynchronous code is made of.</summary>
public sealed class Library : IAsyncFunctionHandler
{
    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken cancellation) =>
        Encoding.UTF8.GetBytes(await this.Run(Encoding.UTF8.GetString(input.Span), cancellation));

    private async Task<string> Run(string what, CancellationToken cancellation)
    {
        switch (what)
        {
            case "run":
                return $"{await Task.Run(() => 42, cancellation)}";
            case "parallel":
                var sum = 0;
                await Parallel.ForEachAsync(Enumerable.Range(1, 100), cancellation, async (i, token) =>
                {
                    await Task.Delay(1, token);
                    Interlocked.Add(ref sum, i);
                });
                return $"{sum}";
            case "channel":
                var channel = Channel.CreateBounded<int>(2);
                var writer = Task.Run(
                    async () =>
                    {
                        for (var i = 0; i < 50; i++)
                        {
                            await channel.Writer.WriteAsync(i, cancellation);
                        }

                        channel.Writer.Complete();
                    },
                    cancellation);
                var read = 0;
                await foreach (var item in channel.Reader.ReadAllAsync(cancellation))
                {
                    read += item;
                }

                await writer;
                return $"{read}";
            case "stream":
                var streamed = new List<int>();
                await foreach (var item in Ticks(3))
                {
                    streamed.Add(item);
                }

                return string.Join(',', streamed);
            case "timer":
                var ticks = 0;
                using (var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(5)))
                {
                    while (ticks < 3 && await timer.WaitForNextTickAsync(cancellation))
                    {
                        ticks++;
                    }
                }

                return $"{ticks}";
            case "race":
                var slow = Task.Delay(5000, cancellation);
                var fast = Task.Delay(5, cancellation);
                return await Task.WhenAny(slow, fast) == fast ? "fast" : "slow";
            case "timeout":
                try
                {
                    await Task.Delay(-1, cancellation).WaitAsync(TimeSpan.FromMilliseconds(10), cancellation);
                    return "ended";
                }
                catch (TimeoutException)
                {
                    return "timed out";
                }

            case "semaphore":
                var semaphore = new SemaphoreSlim(2);
                var inside = 0;
                var most = 0;
                await Task.WhenAll(Enumerable.Range(0, 6).Select(async _ =>
                {
                    await semaphore.WaitAsync(cancellation);
                    most = Math.Max(most, ++inside);
                    await Task.Delay(2, cancellation);
                    inside--;
                    semaphore.Release();
                }));
                return $"{most}";
            default:
                return "?";
        }
    }

    private static async IAsyncEnumerable<int> Ticks(int count)
    {
        for (var i = 0; i < count; i++)
        {
            await Task.Delay(1);
            yield return i;
        }
    }
}

/// <summary>A synchronous function that leaves a timer behind.</summary>
public sealed class Ticking : IFunctionHandler
{
    private static int ticks;
    private static Timer? timer;

    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        timer ??= new Timer(_ => ticks++, null, 1, 1);
        return Encoding.UTF8.GetBytes($"{ticks}");
    }
}

/// <summary>Both contracts: the synchronous one is what is called.</summary>
public sealed class Both : IFunctionHandler, IAsyncFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input) => "sync"u8.ToArray();

    public ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken cancellation) =>
        new("async"u8.ToArray());
}
