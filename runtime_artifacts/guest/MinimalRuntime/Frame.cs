using System.Runtime.InteropServices;

namespace MinimalRuntime;

/// <summary>
/// One call across the boundary. The host owns the memory and reads it back when the entry point
/// returns. The Python half is <c>dotnet_wasm_host/abi.py</c>; the two change together.
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal unsafe struct Frame
{
    public const int NoFunction = -1;

    /// <summary>In: the function to invoke. Out: the function that was loaded, the call that waits.</summary>
    public int Handle;

    /// <summary>In: the payload or request.</summary>
    public byte* Input;

    public int InputLength;

    public Status Status;

    /// <summary>
    /// Out: the result or record. It lies in the managed heap without a pin: no collection can
    /// run between the entry point's return and the host's next call, and the host copies first.
    /// </summary>
    public byte* Output;

    public int OutputLength;

    /// <summary>Out: the <see cref="PendingCall"/> that runs, 0 for none.</summary>
    public int Call;

    /// <summary>Out: handle of the function that runs, <see cref="NoFunction"/> for none.</summary>
    public int Function;

    /// <summary>Out: the host's number of the exception behind the one that was thrown, 0 for none.</summary>
    public int HostError;

    public readonly System.ReadOnlySpan<byte> InputSpan => new(Input, InputLength);

    public void Return(byte[] result)
    {
        fixed (byte* start = result)
        {
            Output = start;
        }

        OutputLength = result.Length;
        Status = Status.Ok;
    }

    public void Fail(Status status, System.Exception exception)
    {
        Return(ErrorRecord.Encode(exception));
        HostError = HostFunctionException.ErrorBehind(exception);
        Status = status;
    }
}

/// <summary>How a call ended.</summary>
internal enum Status
{
    Ok = 0,

    /// <summary>User code threw; Output is an <see cref="ErrorRecord"/>.</summary>
    HandlerThrew = 1,

    /// <summary>No function has this handle or id.</summary>
    NotLoaded = 2,

    /// <summary>The assembly has no usable handler; the record says why.</summary>
    HandlerNotFound = 3,

    /// <summary>The assembly, or its handler, could not be loaded; Output is a record.</summary>
    LoadFailed = 4,

    /// <summary>The call waits; Handle is its id.</summary>
    Pending = 5,
}
