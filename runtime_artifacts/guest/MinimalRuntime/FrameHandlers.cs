using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;

namespace MinimalRuntime;

/// <summary>The work behind each of <see cref="EntryPoints"/>. What these throw is reported there.</summary>
internal static unsafe class FrameHandlers
{
    /// <summary>The one frame, which stays where it is for the life of an image.</summary>
    public static Frame* SharedFrame { get; private set; }

    public static void Initialize(Frame* frame)
    {
        SharedFrame = frame;
        frame->Function = Frame.NoFunction;
        // What runs during waits puts back what it found there (CoreLibrary/HostWaits.cs).
        AppContext.SetData("MinimalRuntime.Running", (IntPtr)(&frame->Call));
        StandardInput.Install();
        DebugLines.Install();
        StackTraces.Install();
        TypeNames.Install();
        frame->Return([]);
    }

    public static void Invoke(Frame* frame)
    {
        if (FunctionDispatcher.Find(frame->Handle) is { } function)
        {
            if (function.IsAsync)
            {
                PendingCalls.Begin(function, frame);
                return;
            }

            frame->Function = frame->Handle;
            frame->Return(function.Execute(frame->InputSpan));
        }
        else
        {
            frame->Status = Status.NotLoaded;
            frame->OutputLength = 0;
        }
    }

    public static void InvokeMany(Frame* frame)
    {
        if (FunctionDispatcher.Find(frame->Handle) is not { } function)
        {
            frame->Status = Status.NotLoaded;
            frame->OutputLength = 0;
            return;
        }

        var request = new RequestReader(frame->InputSpan);
        var count = request.Int32();
        var results = new ResultWriter();
        var collections = Collections();
        frame->Function = frame->Handle;
        frame->Handle = 0;
        while (frame->Handle < count && !results.IsLarge && Collections() == collections)
        {
            results.Append(function.Execute(request.Bytes()));
            frame->Handle++;
        }

        frame->Return(results.ToArray());
    }

    public static void Collect(Frame* frame)
    {
        if (!PendingCalls.Collect(frame))
        {
            frame->Status = Status.Pending;
            frame->OutputLength = 0;
        }
    }

    public static void EndHostCall(Frame* frame)
    {
        var request = new RequestReader(frame->InputSpan);
        var found = HostCalls.End(
            frame->Handle, error: request.Int32(), cancelled: request.Int32() != 0, request.Bytes());
        frame->Return([]);
        frame->Status = found ? Status.Ok : Status.NotLoaded;
    }

    public static void Cancel(Frame* frame)
    {
        var found = PendingCalls.Cancel(frame->Handle);
        frame->Return([]);
        frame->Status = found ? Status.Ok : Status.NotLoaded;
    }

    public static void Load(Frame* frame)
    {
        var request = new RequestReader(frame->InputSpan);
        var function = FunctionDispatcher.LoadFunction(
            functionId: request.Text(),
            handlerType: request.Text(),
            image: request.Bytes().ToArray(),
            dependencies: ReadNamed(ref request),
            symbols: ReadNamed(ref request));
        frame->Handle = function.Handle;
        frame->Return(Describe(function));
    }

    public static void Unload(Frame* frame)
    {
        var request = new RequestReader(frame->InputSpan);
        var found = FunctionDispatcher.UnloadFunction(request.Text());
        frame->Return([]);
        frame->Status = found ? Status.Ok : Status.NotLoaded;
    }

    public static void LoadCapability(Frame* frame)
    {
        var request = new RequestReader(frame->InputSpan);
        CapabilityLoader.LoadCapability(
            name: request.Text(),
            image: request.Bytes().ToArray(),
            dependencies: ReadNamed(ref request),
            symbols: ReadNamed(ref request));
        frame->Return([]);
    }

    public static void UnloadCapability(Frame* frame)
    {
        var request = new RequestReader(frame->InputSpan);
        var found = CapabilityLoader.UnloadCapability(request.Text());
        frame->Return([]);
        frame->Status = found ? Status.Ok : Status.NotLoaded;
    }

    public static void Inspect(Frame* frame)
    {
        var result = new byte[2 * sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(result, GC.GetTotalMemory(false));
        BinaryPrimitives.WriteInt64LittleEndian(result.AsSpan(sizeof(long)), GC.CollectionCount(0));
        frame->Return(result);
    }

    public static void Rest(Frame* frame)
    {
        FrozenState.Drop();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        frame->Return([]);
    }

    // Mono counts collections of the nursery and of the whole heap apart.
    private static int Collections() => GC.CollectionCount(0) + GC.CollectionCount(1);

    private static Dictionary<string, byte[]> ReadNamed(ref RequestReader request)
    {
        var count = request.Int32();
        var named = new Dictionary<string, byte[]>(StringComparer.OrdinalIgnoreCase);
        for (var i = 0; i < count; i++)
        {
            named[request.Text()] = request.Bytes().ToArray();
        }

        return named;
    }

    private static byte[] Describe(LoadedFunction function)
    {
        var output = new MemoryStream();
        using var writer = new BinaryWriter(output);
        foreach (var text in (ReadOnlySpan<string?>)[
            function.Instance.GetType().FullName, function.Assembly.GetName().Name])
        {
            var bytes = System.Text.Encoding.UTF8.GetBytes(text ?? "");
            writer.Write(bytes.Length);
            writer.Write(bytes);
        }

        writer.Write(function.LoadedAt.Ticks);
        writer.Write(function.IsAsync ? 1 : 0);
        return output.ToArray();
    }
}
