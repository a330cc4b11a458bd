using System;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace MinimalRuntime.WarmUp;

/// <summary>Functions that await, in images that have the whole library: timers, the thread pool, cancellation.</summary>
public sealed class WarmUpAsyncHandler : IAsyncFunctionHandler
{
    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken cancellation)
    {
        switch (Encoding.UTF8.GetString(input.Span))
        {
            case "delay":
                await Task.Delay(1, cancellation);
                break;
            case "run":
                await Task.WhenAll(Task.Run(() => { }, cancellation), Task.Delay(1, cancellation));
                break;
            case "throw":
                await Task.Yield();
                throw new InvalidOperationException("asynchronous warm-up");
            case "cancel":
                await Task.Delay(-1, cancellation);
                break;
        }

        return input.ToArray();
    }
}
