using System;
using System.Collections.Generic;
using System.Threading;

namespace MinimalRuntime;

/// <summary>The calls that wait, and those that are finished and not yet collected.</summary>
internal static class PendingCalls
{
    private static readonly Dictionary<int, PendingCall> Waiting = [];
    private static readonly Queue<PendingCall> Done = [];
    private static int lastId;

    /// <summary>Start a call. Its answer is in the frame, or Status.Pending and its id.</summary>
    public static unsafe void Begin(LoadedFunction function, Frame* frame)
    {
        var call = new PendingCall(function, ++lastId);
        _ = call.Run(frame->InputSpan.ToArray());
        if (call.IsFinished)
        {
            Answer(call, frame);
            return;
        }

        Waiting[call.Id] = call;
        frame->Handle = call.Id;
        frame->OutputLength = 0;
        frame->Status = Status.Pending;
    }

    /// <summary>A call that waited is finished; one that never did is answered at once.</summary>
    public static void Finished(PendingCall call)
    {
        if (Waiting.Remove(call.Id))
        {
            Done.Enqueue(call);
            HostGate.Enter(HostGate.CallFinished, IntPtr.Zero);
        }
    }

    /// <summary>The next finished call's answer; false when there is none.</summary>
    public static unsafe bool Collect(Frame* frame)
    {
        if (!Done.TryDequeue(out var call))
        {
            return false;
        }

        Answer(call, frame);
        return true;
    }

    /// <summary>Cancel the token of a call. False when it does not wait.</summary>
    public static bool Cancel(int id)
    {
        if (!Waiting.TryGetValue(id, out var call))
        {
            return false;
        }

        call.Cancel();
        return true;
    }

    private static unsafe void Answer(PendingCall call, Frame* frame)
    {
        frame->Handle = call.Id;
        if (call.Error is { } error)
        {
            frame->Fail(Status.HandlerThrew, error);
        }
        else
        {
            frame->Return(call.Result!);
        }
    }
}
