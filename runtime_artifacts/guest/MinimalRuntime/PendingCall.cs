using System;
using System.Threading;
using System.Threading.Tasks;

namespace MinimalRuntime;

/// <summary>One call of an <see cref="IAsyncFunctionHandler"/>.</summary>
internal sealed class PendingCall(LoadedFunction function, int id)
{
    // Flows with the call through everything it awaits or starts.
    private static readonly AsyncLocal<PendingCall?> Flow = new(OnSwitch);

    private readonly CancellationTokenSource cancellation = new();

    public readonly int Id = id;
    public readonly LoadedFunction Function = function;

    public bool IsFinished { get; private set; }

    public byte[]? Result { get; private set; }

    /// <summary>What the handler threw; null when there is a result.</summary>
    public Exception? Error { get; private set; }

    /// <summary>Run the handler; returns when it is finished or waits for the first time.</summary>
    public async Task Run(byte[] input)
    {
        Flow.Value = this;
        try
        {
            this.Result = await this.Function.ExecuteAsync(input, this.cancellation.Token);
        }
        catch (Exception exception)
        {
            this.Error = exception;
        }

        this.IsFinished = true;
        PendingCalls.Finished(this);
    }

    public void Cancel() => this.cancellation.Cancel();

    // The host reads which call runs when it has to name one: in log records, and when the
    // instance dies.
    private static unsafe void OnSwitch(AsyncLocalValueChangedArgs<PendingCall?> change)
    {
        var frame = FrameHandlers.SharedFrame;
        if (frame is not null)
        {
            frame->Call = change.CurrentValue?.Id ?? 0;
            frame->Function = change.CurrentValue?.Function.Handle ?? Frame.NoFunction;
        }
    }
}
