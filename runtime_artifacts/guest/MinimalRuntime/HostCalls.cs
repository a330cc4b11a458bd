using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;

namespace MinimalRuntime;

/// <summary>Calls of host functions: those that return at once and those that end later.</summary>
internal static unsafe class HostCalls
{
    /// <summary>Results up to this size arrive without a second crossing.</summary>
    private const int SmallResult = 1024;

    private static readonly Dictionary<int, Waiting> Pending = [];
    private static int lastId;

    /// <summary>How a call went; <c>CallStatus</c> of <c>host_calls.py</c>.</summary>
    private enum CallStatus
    {
        Returned = 0,
        Raised = 1,
        Begun = 2,
    }

    public static byte[] Call(string function, ReadOnlySpan<byte> input)
    {
        var small = stackalloc byte[SmallResult];
        var call = new HostCall { Output = small, OutputCapacity = SmallResult };
        Enter(HostGate.Call, ref call, function, input);
        var output = Output(call);
        return call.Status == CallStatus.Returned ? output : throw Error(function, call.Number, output);
    }

    public static Task<byte[]> CallAsync(
        string function, ReadOnlySpan<byte> input, CancellationToken cancellation)
    {
        if (cancellation.IsCancellationRequested)
        {
            return Task.FromCanceled<byte[]>(cancellation);
        }

        var small = stackalloc byte[SmallResult];
        var call = new HostCall { Output = small, OutputCapacity = SmallResult, Number = ++lastId };
        var waiting = new Waiting(function, call.Number);
        Pending[waiting.Id] = waiting;
        Enter(HostGate.BeginCall, ref call, function, input);
        if (call.Status != CallStatus.Begun)
        {
            Pending.Remove(waiting.Id);
            return Task.FromException<byte[]>(Error(function, call.Number, Output(call)));
        }

        waiting.CancelWith(cancellation);
        return waiting.Task;
    }

    /// <summary>A call that was begun has ended. False when nobody waits for it.</summary>
    public static bool End(int id, int error, bool cancelled, ReadOnlySpan<byte> output)
    {
        if (!Pending.Remove(id, out var waiting))
        {
            return false;
        }

        waiting.End(error, cancelled, output.ToArray());
        return true;
    }

    private static void Enter(int number, ref HostCall call, string function, ReadOnlySpan<byte> input)
    {
        fixed (char* name = function)
        fixed (byte* argument = input)
        fixed (HostCall* address = &call)
        {
            call.Name = name;
            call.NameLength = function.Length;
            call.Input = argument;
            call.InputLength = input.Length;
            HostGate.Enter(number, (IntPtr)address);
        }
    }

    private static byte[] Output(in HostCall call)
    {
        var output = new byte[call.OutputLength];
        if (call.OutputLength <= call.OutputCapacity)
        {
            new ReadOnlySpan<byte>(call.Output, call.OutputLength).CopyTo(output);
        }
        else
        {
            fixed (byte* start = output)
            {
                HostGate.Enter(HostGate.TakeResult, (IntPtr)start);
            }
        }

        return output;
    }

    private static HostFunctionException Error(string function, int number, byte[] record)
    {
        var reader = new RequestReader(record);
        return new HostFunctionException(function, type: reader.Text(), message: reader.Text(), number);
    }

    /// <summary>A call that was begun and has not ended.</summary>
    private sealed class Waiting(string function, int id)
        : TaskCompletionSource<byte[]>(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        private CancellationTokenRegistration registration;

        public int Id => id;

        public void CancelWith(CancellationToken cancellation) =>
            this.registration = cancellation.Register(() =>
            {
                if (Pending.Remove(id))
                {
                    HostGate.Enter(HostGate.CancelCall, (IntPtr)id);
                    this.TrySetCanceled(cancellation);
                }
            });

        public void End(int error, bool cancelled, byte[] output)
        {
            this.registration.Dispose();
            if (cancelled)
            {
                this.TrySetCanceled();
            }
            else if (error != 0)
            {
                this.TrySetException(Error(function, error, output));
            }
            else
            {
                this.TrySetResult(output);
            }
        }
    }

    /// <summary>One crossing; <c>HostCall</c> of <c>host_calls.py</c>.</summary>
    [StructLayout(LayoutKind.Sequential, Pack = 4)]
    private struct HostCall
    {
        public char* Name;
        public int NameLength;
        public byte* Input;
        public int InputLength;
        public byte* Output;
        public int OutputCapacity;

        /// <summary>In: id of a call that is begun. Out: the host's number of an exception.</summary>
        public int Number;

        public CallStatus Status;

        /// <summary>Out. What is longer than the capacity is taken with another call.</summary>
        public int OutputLength;
    }
}
