using System;
using System.Collections.Generic;
using System.Reflection;

namespace MinimalRuntime;

/// <summary>
/// The loaded functions. Ids are names for people; a call names its function by handle, an index
/// that stays valid until that function is unloaded or replaced.
/// </summary>
/// <remarks>The runtime has one thread, so nothing here locks.</remarks>
internal static class FunctionDispatcher
{
    private static readonly Dictionary<string, LoadedFunction> Functions = [];
    private static readonly Stack<int> FreeHandles = [];
    private static LoadedFunction?[] byHandle = new LoadedFunction?[16];
    private static int nextHandle;

    /// <summary>The function with this handle, or null.</summary>
    public static LoadedFunction? Find(int handle)
    {
        var table = byHandle;
        return (uint)handle < (uint)table.Length ? table[handle] : null;
    }

    /// <summary>Load a function; one that has the id already is unloaded first.</summary>
    /// <exception cref="HandlerNotFoundException">The assembly has no usable handler.</exception>
    public static LoadedFunction LoadFunction(
        string functionId,
        byte[] image,
        Dictionary<string, byte[]> dependencies,
        Dictionary<string, byte[]> symbols,
        string handlerType)
    {
        UnloadFunction(functionId);

        var context = new CollectibleLoadContext(functionId, dependencies, symbols);
        try
        {
            var assembly = context.LoadFromBytes(image);
            var type = HandlerLocator.Find(assembly, handlerType);
            var handler = CreateInstance(type);
            var function = new LoadedFunction(functionId, TakeHandle(), context, assembly, handler);
            Functions[functionId] = function;
            byHandle[function.Handle] = function;
            return function;
        }
        catch
        {
            context.Unload();
            throw;
        }
    }

    /// <summary>Unload a function. False, and nothing else, when the id is not loaded.</summary>
    public static bool UnloadFunction(string functionId)
    {
        if (!Functions.Remove(functionId, out var function))
        {
            return false;
        }

        byHandle[function.Handle] = null;
        FreeHandles.Push(function.Handle);

        // No forced collection as on CoreCLR: Mono keeps a collectible context's metadata whatever
        // is collected, and the objects go with the next ordinary collection.
        function.Context.Unload();
        return true;
    }

    private static object CreateInstance(Type type)
    {
        try
        {
            return Activator.CreateInstance(type)!;
        }
        catch (TargetInvocationException exception) when (exception.InnerException is { } thrown)
        {
            throw new HandlerConstructionException(type, thrown);
        }
    }

    private static int TakeHandle()
    {
        if (FreeHandles.TryPop(out var handle))
        {
            return handle;
        }

        if (nextHandle == byHandle.Length)
        {
            Array.Resize(ref byHandle, nextHandle * 2);
        }

        return nextHandle++;
    }
}
