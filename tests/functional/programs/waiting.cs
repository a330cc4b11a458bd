using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Channels;
using System.Threading.Tasks;
using MinimalRuntime;

namespace Programs;

/// <summary>Blocks in the way that its payload names, and answers what came of it.</summary>
public sealed class Waiting : IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input) =>
        Encoding.UTF8.GetBytes(Convert.ToString(Answer(Encoding.UTF8.GetString(input)))!);

    private static object? Answer(string kind) => kind switch
    {
        "event" => new ManualResetEvent(false).WaitOne(),
        "auto" => new AutoResetEvent(false).WaitOne(),
        "slim" => Slim(),
        "semaphore" => new Semaphore(0, 1).WaitOne(),
        "semaphore slim" => SemaphoreSlim(),
        "all" => WaitHandle.WaitAll([new AutoResetEvent(false), new ManualResetEvent(true)]),
        "any" => WaitHandle.WaitAny([new AutoResetEvent(false), new AutoResetEvent(false)]),
        "signal" => WaitHandle.SignalAndWait(new AutoResetEvent(false), new AutoResetEvent(false)),
        "monitor" => MonitorWait(-1),
        "sleep" => Sleep(Timeout.Infinite),
        "join" => Join(-1),
        "barrier" => Barrier(),
        "countdown" => Countdown(),
        "spin lock" => SpinLock(false),
        "task" => new TaskCompletionSource<int>().Task.Result,
        "awaiter" => new TaskCompletionSource<int>().Task.GetAwaiter().GetResult(),
        "delay" => Task.Delay(-1).Wait(-1),
        "wait all" => WaitAll(Task.Delay(1), new TaskCompletionSource().Task),
        "wait any" => Task.WaitAny(new TaskCompletionSource().Task),
        "collection" => new BlockingCollection<int>().Take(),
        "channel" => Channel.CreateUnbounded<int>().Reader.ReadAsync().AsTask().Result,
        "lock slim" => LockSlim(),
        "inner" => Task.Run(() => new ManualResetEvent(false).WaitOne()).Result,

        "sleep 300" => Sleep(300),
        "event 300" => new ManualResetEvent(false).WaitOne(300),
        "slim 300" => new ManualResetEventSlim(false).Wait(300),
        "monitor 300" => MonitorWait(300),
        "join 300" => Join(300),
        "any 300" => WaitHandle.WaitAny([new AutoResetEvent(false)], 300),
        "try 300" => new BlockingCollection<int>().TryTake(out _, 300),

        "run" => Task.Run(() => 1).Result,
        "run async" => Task.Run(async () => { await Task.Delay(20); await Task.Yield(); return 2; }).Result,
        "delay 20" => Task.Delay(20).Wait(5000),
        "when all" => Task.WhenAll(Enumerable.Range(0, 20).Select(Later)).Result.Sum(),
        "queued" => Queued(),
        "timer" => OfTimer(),
        "blocked timer" => OfBlockedTimer(),
        "pulse" => Pulsed(all: false),
        "pulse all" => Pulsed(all: true),
        "spin until" => SpinUntil(),
        "poll" => Poll(),
        "yield" => YieldUntil(),
        "spin lock taken" => SpinLock(true),
        "locked" => Locked(),
        "readers" => ReadAndWrite(writes: false),
        "writer" => ReadAndWrite(writes: true),
        "parallel" => Parallel(),
        "plinq" => Enumerable.Range(0, 100).AsParallel().Select(n => 2 * n).Sum(),
        "producer" => Producer(),
        "phases" => Phases(),
        "deep" => Deep(),
        "token" => new CancellationTokenSource(20).Token.WaitHandle.WaitOne(),
        "token of slim" => OfToken(),
        "afterwards" => Afterwards(),
        "async local" => Local(),
        "context" => Context(),
        _ => throw new ArgumentException(kind),
    };

    private static object? Slim()
    {
        new ManualResetEventSlim(false).Wait();
        return null;
    }

    private static object? SemaphoreSlim()
    {
        new SemaphoreSlim(0).Wait();
        return null;
    }

    private static object? MonitorWait(int milliseconds)
    {
        var target = new object();
        lock (target)
        {
            return Monitor.Wait(target, milliseconds);
        }
    }

    private static object? Sleep(int milliseconds)
    {
        Thread.Sleep(milliseconds);
        return "slept";
    }

    private static object Join(int milliseconds) => Thread.CurrentThread.Join(milliseconds);

    private static object? Barrier()
    {
        new Barrier(2).SignalAndWait();
        return null;
    }

    private static object? Countdown()
    {
        new CountdownEvent(1).Wait();
        return null;
    }

    private static object? WaitAll(params Task[] tasks)
    {
        Task.WaitAll(tasks);
        return null;
    }

    private static object? LockSlim()
    {
        var target = new ReaderWriterLockSlim(LockRecursionPolicy.SupportsRecursion);
        target.EnterReadLock();
        target.EnterWriteLock();
        return null;
    }

    private static async Task<int> Later(int number)
    {
        await Task.Delay(number);
        return number;
    }

    /// <summary>A work item runs on the thread that waits for it, so its lock is taken again.</summary>
    private static object? Locked()
    {
        var gate = new object();
        var entered = 0;
        lock (gate)
        {
            Task.Run(() =>
            {
                lock (gate)
                {
                    entered++;
                }
            }).Wait();
        }

        return entered;
    }

    /// <summary>Nor can a reader-writer lock be waited for: recursion is what .NET says of it.</summary>
    private static object? ReadAndWrite(bool writes)
    {
        using var gate = new ReaderWriterLockSlim();
        gate.EnterReadLock();
        try
        {
            Task.Run(() =>
            {
                if (writes)
                {
                    gate.EnterWriteLock();
                }
            }).Wait();
            return gate.CurrentReadCount;
        }
        catch (AggregateException error)
        {
            return error.InnerException!.GetType().Name;
        }
        finally
        {
            gate.ExitReadLock();
        }
    }

    private static object? SpinLock(bool released)
    {
        var target = new SpinLock(enableThreadOwnerTracking: false);
        bool first = false, second = false;
        target.Enter(ref first);
        if (released)
        {
            ThreadPool.QueueUserWorkItem(_ => target.Exit());
        }

        target.Enter(ref second);
        return first && second;
    }

    private static object? Queued()
    {
        var done = new ManualResetEvent(false);
        ThreadPool.QueueUserWorkItem(_ =>
        {
            Thread.Sleep(5);
            done.Set();
        });
        return done.WaitOne();
    }

    private static object? OfTimer()
    {
        var done = new ManualResetEventSlim();
        using var timer = new Timer(_ => done.Set(), null, 20, Timeout.Infinite);
        done.Wait();
        return done.IsSet;
    }

    private static object? OfBlockedTimer()
    {
        ManualResetEvent done = new(false), other = new(false);
        using var one = new Timer(_ => { other.WaitOne(); done.Set(); }, null, 10, Timeout.Infinite);
        using var two = new Timer(_ => other.Set(), null, 40, Timeout.Infinite);
        return done.WaitOne();
    }

    private static object? Pulsed(bool all)
    {
        var target = new object();
        var number = 0;
        ThreadPool.QueueUserWorkItem(_ => { });
        Task.Delay(10).ContinueWith(_ =>
        {
            lock (target)
            {
                number = 5;
                if (all)
                {
                    Monitor.PulseAll(target);
                }
                else
                {
                    Monitor.Pulse(target);
                }
            }
        });
        lock (target)
        {
            // Without a loop: nothing else wakes it.
            return Monitor.Wait(target) ? number : -1;
        }
    }

    private static object? SpinUntil()
    {
        var done = false;
        Task.Run(() => done = true);
        SpinWait.SpinUntil(() => done);
        return done;
    }

    private static object? Poll()
    {
        var task = Task.Delay(30);
        while (!task.IsCompleted)
        {
            Thread.Sleep(5);
        }

        return task.IsCompletedSuccessfully;
    }

    private static object? YieldUntil()
    {
        var task = Task.Run(() => 3);
        while (!task.IsCompleted)
        {
            Thread.Yield();
        }

        return task.Result;
    }

    private static object? Parallel()
    {
        var sum = 0;
        System.Threading.Tasks.Parallel.For(0, 100, n => Interlocked.Add(ref sum, n));
        return sum;
    }

    private static object? Producer()
    {
        var items = new BlockingCollection<int>();
        Task.Run(async () =>
        {
            for (var i = 0; i < 10; i++)
            {
                items.Add(i);
                await Task.Delay(1);
            }

            items.CompleteAdding();
        });
        return items.GetConsumingEnumerable().Sum();
    }

    private static object? Phases()
    {
        var barrier = new Barrier(2);
        var other = Task.Run(() => barrier.SignalAndWait(1000));
        return barrier.SignalAndWait(1000) && other.Result;
    }

    private static object? Deep()
    {
        var gate = new ManualResetEventSlim();
        var number = 0;
        Task.WaitAll(Enumerable.Range(1, 100).Select(n => Task.Run(() =>
        {
            if (n == 100)
            {
                gate.Set();
            }

            gate.Wait();
            number++;
        })).ToArray());
        return number;
    }

    private static object? OfToken()
    {
        try
        {
            new ManualResetEventSlim().Wait(new CancellationTokenSource(20).Token);
        }
        catch (OperationCanceledException)
        {
            return "cancelled";
        }

        return null;
    }

    /// <summary>An event that was waited for in vain is as good as before.</summary>
    private static object? Afterwards()
    {
        var target = new AutoResetEvent(false);
        for (var i = 0; i < 2; i++)
        {
            try
            {
                WaitHandle.WaitAny([target, new AutoResetEvent(false)]);
            }
            catch (PlatformNotSupportedException)
            {
            }
        }

        target.Set();
        return target.WaitOne(0) && !target.WaitOne(0);
    }

    private static object? Local()
    {
        var local = new AsyncLocal<int> { Value = 1 };
        var task = Task.Run(async () =>
        {
            local.Value = 2;
            await Task.Delay(10);
        });
        Thread.Sleep(50);
        return (local.Value, task.IsCompleted);
    }

    private static object? Context()
    {
        var before = new SynchronizationContext();
        SynchronizationContext.SetSynchronizationContext(before);
        try
        {
            object? inside = before;
            using var done = new ManualResetEvent(false);
            ThreadPool.QueueUserWorkItem(_ =>
            {
                inside = SynchronizationContext.Current;
                done.Set();
            });
            done.WaitOne();
            return (SynchronizationContext.Current == before, inside is null);
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(null);
        }
    }
}

/// <summary>Blocks until host functions have answered.</summary>
public sealed class Asking : IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var large = Host.CallAsync("soon", new byte[100_000]).Result.Length;
        var argument = input.ToArray();
        var first = Host.CallAsync("soon", argument);
        var second = Host.CallAsync("later", argument);
        Task.WaitAll(first, second);
        var error = "";
        try
        {
            Host.CallAsync("never", argument).Wait();
        }
        catch (AggregateException exception)
        {
            error = exception.InnerException!.Message;
        }

        // The payload is where it was, though answers came while it was used.
        return Encoding.UTF8.GetBytes(
            $"{large} {Encoding.UTF8.GetString(first.Result)} {Encoding.UTF8.GetString(second.Result)} "
            + $"{error} {Encoding.UTF8.GetString(input)}");
    }
}

/// <summary>Logs, before and after it has let another call go on.</summary>
public sealed class Blocking : IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        Log.Information("before");
        Thread.Sleep(60);
        Log.Information("after");
        return input.ToArray();
    }
}
