using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;

namespace MinimalRuntime;

/// <summary>
/// What the host calls. Each method takes the address of a <see cref="Frame"/>; an exception that
/// left one would abort the whole runtime, so each catches everything.
/// </summary>
public static unsafe class EntryPoints
{
    /// <summary>The one frame, which stays where it is for the life of an image.</summary>
    internal static Frame* SharedFrame { get; private set; }

    /// <summary>Called once, when an image is built.</summary>
    public static void Initialize(void* address)
    {
        var frame = (Frame*)address;
        try
        {
            SharedFrame = frame;
            frame->Function = Frame.NoFunction;
            StandardInput.Install();
            DebugLines.Install();
            TypeNames.Install();
            frame->Return([]);
        }
        catch (Exception exception)
        {
            frame->Fail(Status.HandlerThrew, exception);
        }
    }

    /// <summary>Handle and payload in; result, or the error of the handler, out.</summary>
    public static void Invoke(void* address)
    {
        var frame = (Frame*)address;
        try
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
        catch (Exception exception)
        {
            frame->Fail(Status.HandlerThrew, exception);
        }
    }

    /// <summary>
    /// Handle and a count of payloads in; the results out, each behind its 32-bit length, and in place
    /// of the handle how many calls were completed. The first exception ends it. So do results that
    /// are large together, and a collection, after which finalizers want to run: the host asks for the
    /// rest.
    /// </summary>
    public static void InvokeMany(void* address)
    {
        var frame = (Frame*)address;
        try
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
        catch (Exception exception)
        {
            frame->Fail(Status.HandlerThrew, exception);
        }
    }

    /// <summary>
    /// Out: a finished call's answer as from <see cref="Invoke"/>, and its id as the handle; Status.Pending
    /// when no call is finished.
    /// </summary>
    public static void Collect(void* address)
    {
        var frame = (Frame*)address;
        if (!PendingCalls.Collect(frame))
        {
            frame->Status = Status.Pending;
            frame->OutputLength = 0;
        }
    }

    /// <summary>
    /// A host call that was begun has ended. Its id is the handle; in: number of the host's exception,
    /// 1 if it was cancelled, and the result or record.
    /// </summary>
    public static void EndHostCall(void* address)
    {
        var frame = (Frame*)address;
        try
        {
            var request = new RequestReader(frame->InputSpan);
            var found = HostCalls.End(
                frame->Handle, error: request.Int32(), cancelled: request.Int32() != 0, request.Bytes());
            frame->Return([]);
            frame->Status = found ? Status.Ok : Status.NotLoaded;
        }
        catch (Exception exception)
        {
            frame->Fail(Status.HandlerThrew, exception);
        }
    }

    /// <summary>Id of a call in: its token is cancelled. Status NotLoaded when it does not wait.</summary>
    public static void Cancel(void* address)
    {
        var frame = (Frame*)address;
        try
        {
            var found = PendingCalls.Cancel(frame->Handle);
            frame->Return([]);
            frame->Status = found ? Status.Ok : Status.NotLoaded;
        }
        catch (Exception exception)
        {
            frame->Fail(Status.HandlerThrew, exception);
        }
    }

    /// <summary>
    /// Request in: id, handler type or "", image, count of dependencies, name and image of each.
    /// Out: the handle; handler type, assembly name and UTC ticks of loading.
    /// </summary>
    public static void Load(void* address)
    {
        var frame = (Frame*)address;
        try
        {
            var request = new RequestReader(frame->InputSpan);
            var function = FunctionDispatcher.LoadFunction(
                functionId: request.Text(),
                handlerType: request.Text(),
                image: request.Bytes().ToArray(),
                dependencies: ReadDependencies(ref request));
            frame->Handle = function.Handle;
            frame->Return(Describe(function));
        }
        catch (HandlerNotFoundException exception)
        {
            frame->Fail(Status.HandlerNotFound, exception);
        }
        catch (HandlerConstructionException exception)
        {
            frame->Fail(Status.HandlerThrew, exception.InnerException!);
        }
        catch (Exception exception)
        {
            frame->Fail(Status.LoadFailed, exception);
        }
    }

    /// <summary>Id in. Status NotLoaded when there was nothing to unload.</summary>
    public static void Unload(void* address)
    {
        var frame = (Frame*)address;
        try
        {
            var request = new RequestReader(frame->InputSpan);
            var found = FunctionDispatcher.UnloadFunction(request.Text());
            frame->Return([]);
            frame->Status = found ? Status.Ok : Status.NotLoaded;
        }
        catch (Exception exception)
        {
            frame->Fail(Status.HandlerThrew, exception);
        }
    }

    /// <summary>Request in: name, image, count of dependencies, name and image of each.</summary>
    public static void LoadCapability(void* address)
    {
        var frame = (Frame*)address;
        try
        {
            var request = new RequestReader(frame->InputSpan);
            CapabilityLoader.LoadCapability(
                name: request.Text(),
                image: request.Bytes().ToArray(),
                dependencies: ReadDependencies(ref request));
            frame->Return([]);
        }
        catch (Exception exception)
        {
            frame->Fail(Status.LoadFailed, exception);
        }
    }

    /// <summary>Name in. Status NotLoaded when there was nothing to unload.</summary>
    public static void UnloadCapability(void* address)
    {
        var frame = (Frame*)address;
        try
        {
            var request = new RequestReader(frame->InputSpan);
            var found = CapabilityLoader.UnloadCapability(request.Text());
            frame->Return([]);
            frame->Status = found ? Status.Ok : Status.NotLoaded;
        }
        catch (Exception exception)
        {
            frame->Fail(Status.HandlerThrew, exception);
        }
    }

    /// <summary>
    /// Out: live bytes of the managed heap and number of collections, 64 bits each.
    /// </summary>
    public static void Inspect(void* address)
    {
        var frame = (Frame*)address;
        try
        {
            var result = new byte[2 * sizeof(long)];
            BinaryPrimitives.WriteInt64LittleEndian(result, GC.GetTotalMemory(false));
            BinaryPrimitives.WriteInt64LittleEndian(result.AsSpan(sizeof(long)), GC.CollectionCount(0));
            frame->Return(result);
        }
        catch (Exception exception)
        {
            frame->Fail(Status.HandlerThrew, exception);
        }
    }

    /// <summary>Come to rest before memory is frozen: no garbage, no random state to share.</summary>
    public static void Rest(void* address)
    {
        var frame = (Frame*)address;
        try
        {
            FrozenState.Drop();
            GC.Collect();
            GC.WaitForPendingFinalizers();
            frame->Return([]);
        }
        catch (Exception exception)
        {
            frame->Fail(Status.HandlerThrew, exception);
        }
    }

    // Mono counts collections of the nursery and of the whole heap apart.
    private static int Collections() => GC.CollectionCount(0) + GC.CollectionCount(1);

    private static Dictionary<string, byte[]> ReadDependencies(ref RequestReader request)
    {
        var count = request.Int32();
        var dependencies = new Dictionary<string, byte[]>(StringComparer.OrdinalIgnoreCase);
        for (var i = 0; i < count; i++)
        {
            dependencies[request.Text()] = request.Bytes().ToArray();
        }

        return dependencies;
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
