using System;

namespace MinimalRuntime;

/// <summary>
/// What the host calls. Each method takes the address of a <see cref="Frame"/> and has
/// <see cref="FrameHandlers"/> do the work, guarded.
/// </summary>
public static unsafe class EntryPoints
{
    /// <summary>Called once, when an image is built.</summary>
    public static void Initialize(void* address) => Guard(address, &FrameHandlers.Initialize);

    /// <summary>Handle and payload in; result, or the error of the handler, out.</summary>
    public static void Invoke(void* address) => Guard(address, &FrameHandlers.Invoke);

    /// <summary>
    /// Handle and a count of payloads in; the results out, each behind its 32-bit length, and in place
    /// of the handle how many calls were completed. The first exception ends it. So do results that
    /// are large together, and a collection, after which finalizers want to run: the host asks for the
    /// rest.
    /// </summary>
    public static void InvokeMany(void* address) => Guard(address, &FrameHandlers.InvokeMany);

    /// <summary>
    /// Out: a finished call's answer as from <see cref="Invoke"/>, and its id as the handle; Status.Pending
    /// when no call is finished.
    /// </summary>
    public static void Collect(void* address) => Guard(address, &FrameHandlers.Collect);

    /// <summary>
    /// A host call that was begun has ended. Its id is the handle; in: number of the host's exception,
    /// 1 if it was cancelled, and the result or record.
    /// </summary>
    public static void EndHostCall(void* address) => Guard(address, &FrameHandlers.EndHostCall);

    /// <summary>Id of a call in: its token is cancelled. Status NotLoaded when it does not wait.</summary>
    public static void Cancel(void* address) => Guard(address, &FrameHandlers.Cancel);

    /// <summary>
    /// Request in: id, handler type or "", image, count of dependencies, name and image of each,
    /// count of PDBs, name and content of each.
    /// Out: the handle; handler type, assembly name and UTC ticks of loading.
    /// </summary>
    public static void Load(void* address) => Guard(address, &FrameHandlers.Load, Status.LoadFailed);

    /// <summary>Id in. Status NotLoaded when there was nothing to unload.</summary>
    public static void Unload(void* address) => Guard(address, &FrameHandlers.Unload);

    /// <summary>Request in: name, image, dependencies and PDBs as for <see cref="Load"/>.</summary>
    public static void LoadCapability(void* address) => Guard(address, &FrameHandlers.LoadCapability, Status.LoadFailed);

    /// <summary>Name in. Status NotLoaded when there was nothing to unload.</summary>
    public static void UnloadCapability(void* address) => Guard(address, &FrameHandlers.UnloadCapability);

    /// <summary>
    /// Out: live bytes of the managed heap and number of collections, 64 bits each.
    /// </summary>
    public static void Inspect(void* address) => Guard(address, &FrameHandlers.Inspect);

    /// <summary>Come to rest before memory is frozen: no garbage, no random state to share.</summary>
    public static void Rest(void* address) => Guard(address, &FrameHandlers.Rest);

    /// <summary>
    /// Run an entry point; what it throws becomes the answer. The host's call would end the whole
    /// runtime if an exception left it.
    /// </summary>
    private static void Guard(
        void* address, delegate*<Frame*, void> body, Status failure = Status.HandlerThrew)
    {
        var frame = (Frame*)address;
        try
        {
            body(frame);
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
            frame->Fail(failure, exception);
        }
    }
}
