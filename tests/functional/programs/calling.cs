using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using MinimalRuntime;

namespace Programs;

/// <summary>Calls the host function that its payload names.</summary>
public sealed class Calling : IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var text = Encoding.UTF8.GetString(input);
        var words = text.Split(' ', 2);
        var argument = Encoding.UTF8.GetBytes(words.Length > 1 ? words[1] : "");
        switch (words[0])
        {
            case "catch":
                try
                {
                    return Host.Call(words[1], default);
                }
                catch (HostFunctionException e)
                {
                    return Encoding.UTF8.GetBytes($"{e.Function}|{e.Type}|{e.Message}");
                }

            case "rethrow":
                try
                {
                    return Host.Call(words[1], default);
                }
                catch (HostFunctionException)
                {
                    throw;
                }

            case "wrap":
                try
                {
                    return Host.Call(words[1], default);
                }
                catch (HostFunctionException e)
                {
                    throw new InvalidOperationException("wrapped", e);
                }

            case "swallow":
                for (var i = 0; i < 1000; i++)
                {
                    try
                    {
                        Host.Call(words[1], default);
                    }
                    catch (HostFunctionException)
                    {
                    }
                }

                return [];
            case "sizes":
                foreach (var size in (int[])[0, 1, 1023, 1024, 1025, 100_000])
                {
                    var payload = new byte[size];
                    payload.AsSpan().Fill((byte)size);
                    if (!Host.Call("echo", payload).AsSpan().SequenceEqual(payload))
                    {
                        throw new InvalidOperationException($"{size} bytes came back different");
                    }
                }

                return [];
            default:
                return Host.Call(words[0], argument);
        }
    }
}

/// <summary>The same with CallAsync; several names are called together.</summary>
public sealed class CallingAsync : IAsyncFunctionHandler
{
    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken cancellation)
    {
        var names = Encoding.UTF8.GetString(input.Span).Split(' ');
        var results = await Task.WhenAll(
            names.Select(n => Host.CallAsync(n, Encoding.UTF8.GetBytes(n), cancellation)));
        return Encoding.UTF8.GetBytes(string.Join(' ', results.Select(Encoding.UTF8.GetString)));
    }
}

/// <summary>Typed calls.</summary>
public sealed class Typed : IAsyncFunctionHandler
{
    private sealed record Order(string Item, int Count);

    private sealed record Price(double Total, string[] Notes);

    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken cancellation)
    {
        var order = new Order("apple ü", 3);
        var price = Encoding.UTF8.GetString(input.Span) == "async"
            ? await HostJson.CallAsync<Order, Price>("price_async", order, cancellation)
            : HostJson.Call<Order, Price>("price", order);
        return Encoding.UTF8.GetBytes($"{price!.Total} {string.Join('+', price.Notes)}");
    }
}

/// <summary>Says things in every way there is.</summary>
public sealed class Speaking : IAsyncFunctionHandler
{
    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken cancellation)
    {
        switch (Encoding.UTF8.GetString(input.Span))
        {
            case "console":
                Console.WriteLine("out");
                Console.Error.WriteLine("err");
                await Task.Delay(1, cancellation);
                Console.WriteLine("later");
                break;
            case "debug":
                Debug.WriteLine("debug is left out of optimised code");
                Trace.WriteLine("trace ü");
                Trace.TraceWarning("warned {0}", 3);
                Trace.TraceError("failed");
                Trace.Write("in ");
                Trace.WriteLine("pieces");
                break;
            case "levels":
                Log.Trace("trace");
                Log.Debug("debug");
                Log.Information("information");
                Log.Warning("warning");
                Log.Error("error");
                Log.Critical("critical");
                break;
            case "values":
                await Task.Delay(1, cancellation);
                Log.Information(
                    "user {Id} {Name} took {Seconds:F2} s, {Ok} {{literal}} {Nothing} {Missing}",
                    3, "Zoë %s", 0.5, true, null);
                break;
            case "exception":
                try
                {
                    throw new InvalidOperationException("thrown");
                }
                catch (InvalidOperationException e)
                {
                    Log.Error(e, "while {Doing}", "nothing");
                }

                break;
            case "flood":
                while (true)
                {
                    Log.Information(new string('x', 10_000));
                }
        }

        return [];
    }
}
