using System;
using System.Collections.Generic;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Tasks;

public sealed class Resource(List<string> log, string name) : IAsyncDisposable, IDisposable
{
    public void Dispose() => log.Add($"{name} disposed");

    public async ValueTask DisposeAsync()
    {
        await Task.Yield();
        log.Add($"{name} disposed later");
    }
}

/// <summary>Asynchronous code in all its forms.</summary>
public sealed class Program : MinimalRuntime.IAsyncFunctionHandler
{
    private static readonly AsyncLocal<string?> Local = new();

    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken cancellation)
    {
        var log = new List<string>();
        Local.Value = "outside";
        await Inner(log);
        log.Add(Local.Value);
        log.Add($"{await Sum(input)} {await Cached(3)} {await Cached(-3)}");
        await foreach (var part in Parts(input))
        {
            log.Add(part);
        }

        await using (new Resource(log, "a"))
        {
            using var b = new Resource(log, "b");
            await Task.Delay(1, cancellation);
        }

        var source = new TaskCompletionSource<int>();
        var waiting = source.Task.ContinueWithText(log);
        source.SetResult(input.Length);
        await waiting;

        var results = await Task.WhenAll(Slow(3), Slow(1), Slow(2));
        log.Add(string.Join(",", results));
        var first = await Task.WhenAny(Slow(50), Task.FromResult(7));
        log.Add($"{await first}");
        try
        {
            await Task.WhenAll(Fail("one"), Fail("two"));
        }
        catch (InvalidOperationException e)
        {
            log.Add(e.Message);
        }

        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        stop.Token.Register(() => log.Add("asked to stop"));
        var endless = Task.Delay(-1, stop.Token);
        stop.Cancel();
        try
        {
            await endless;
        }
        catch (OperationCanceledException e)
        {
            log.Add($"{e.GetType().Name} {endless.Status} {stop.IsCancellationRequested}");
        }

        var faulted = Fail("kept");
        try
        {
            await faulted.ConfigureAwait(false);
        }
        catch (InvalidOperationException)
        {
            log.Add($"{faulted.Exception!.InnerExceptions.Count} {faulted.IsFaulted}");
        }

        log.Add(await Task.Run(() => $"pool {Encoding.UTF8.GetString(input.Span)}", cancellation));
        return Encoding.UTF8.GetBytes(string.Join("\n", log));
    }

    private static async Task Inner(List<string> log)
    {
        Local.Value = "inside";
        await Task.Yield();
        log.Add(Local.Value);
    }

    private static async Task<int> Slow(int milliseconds)
    {
        await Task.Delay(milliseconds);
        return milliseconds;
    }

    private static async Task Fail(string message)
    {
        await Task.Yield();
        throw new InvalidOperationException(message);
    }

    private static ValueTask<int> Cached(int value) => value > 0 ? new ValueTask<int>(value) : new ValueTask<int>(Slow(-value));

    private static async Task<int> Sum(ReadOnlyMemory<byte> input)
    {
        var sum = 0;
        for (var i = 0; i < input.Length; i++)
        {
            sum += await Task.FromResult(input.Span[i]);
        }

        return sum;
    }

    private static async IAsyncEnumerable<string> Parts(ReadOnlyMemory<byte> input)
    {
        for (var start = 0; start < input.Length; start += 10)
        {
            await Task.Delay(0);
            yield return Convert.ToHexString(input.Span[start..Math.Min(start + 10, input.Length)]);
        }
    }
}

internal static class Extensions
{
    public static async Task ContinueWithText(this Task<int> task, List<string> log) => log.Add($"came {await task}");
}
