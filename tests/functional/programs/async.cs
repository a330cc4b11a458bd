using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Channels;
using System.Threading.Tasks;

namespace Programs;

/// <summary>Asynchronous code in which nothing has to wait.</summary>
public sealed class Completing : JsonHandler
{
    private static readonly AsyncLocal<string> Flowing = new();

    protected override object? Answer(JsonElement question) => Run(question.GetInt32()).GetAwaiter().GetResult();

    private static async Task<object> Run(int count)
    {
        Flowing.Value = "flowed";
        var squares = await Task.WhenAll(Enumerable.Range(0, count).Select(Square));
        var streamed = new List<int>();
        await foreach (var number in Count(count))
        {
            streamed.Add(number);
        }

        var channel = Channel.CreateUnbounded<int>();
        for (var i = 0; i < count; i++)
        {
            await channel.Writer.WriteAsync(i);
        }

        channel.Writer.Complete();
        var received = 0;
        while (await channel.Reader.WaitToReadAsync())
        {
            while (channel.Reader.TryRead(out var item))
            {
                received += item;
            }
        }

        string caught;
        try
        {
            await Fail();
            caught = "nothing";
        }
        catch (InvalidOperationException e)
        {
            caught = e.Message;
        }

        var source = new TaskCompletionSource<string>();
        source.SetResult("set");
        string disposed;
        await using (var resource = new Resource())
        {
            disposed = resource.State;
        }

        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        var isCancelled = false;
        try
        {
            await Task.FromCanceled(cancelled.Token);
        }
        catch (TaskCanceledException)
        {
            isCancelled = true;
        }

        return new
        {
            Squares = squares,
            Streamed = streamed,
            Received = received,
            Caught = caught,
            Source = await source.Task,
            Flowed = await Local(),
            Disposed = $"{disposed}, {Resource.Last}",
            Cancelled = isCancelled,
        };
    }

    private static async Task<int> Square(int number)
    {
        await Task.CompletedTask;
        return number * number;
    }

    private static async ValueTask<string?> Local()
    {
        await new ValueTask(Task.CompletedTask);
        return Flowing.Value;
    }

    private static async Task Fail()
    {
        await Task.CompletedTask;
        throw new InvalidOperationException("thrown after await");
    }

    private static async IAsyncEnumerable<int> Count(int to)
    {
        for (var i = 0; i < to; i++)
        {
            await Task.CompletedTask;
            yield return i;
        }
    }

    private sealed class Resource : IAsyncDisposable
    {
        public static string Last = "";

        public string State { get; private set; } = "open";

        public ValueTask DisposeAsync()
        {
            State = "closed";
            Last = State;
            return default;
        }
    }
}

/// <summary>Blocks on something that only another thread or a later call could complete.</summary>
public sealed class Blocking : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        switch (Encoding.UTF8.GetString(input))
        {
            case "delay":
                Task.Delay(1).Wait();
                break;
            case "run":
                return [(byte)Task.Run(() => 1).Result];
            case "yield":
                Yield().GetAwaiter().GetResult();
                break;
            case "thread":
                new Thread(() => { }).Start();
                break;
            case "monitor":
                lock (this)
                {
                    Monitor.Wait(this);
                }

                break;
            case "semaphore":
                new SemaphoreSlim(0).Wait();
                break;
            case "event":
                new ManualResetEventSlim(false).Wait();
                break;
            case var other:
                return Encoding.UTF8.GetBytes(other);
        }

        return [];
    }

    private static async Task Yield() => await Task.Yield();
}
