using System.Collections.Generic;
using System.Reflection;

namespace MinimalRuntime;

/// <summary>
/// Assemblies that extend the runtime for every function loaded after them, each set in a
/// collectible context of its own.
/// </summary>
internal static class CapabilityLoader
{
    private static readonly Dictionary<string, CollectibleLoadContext> Capabilities = [];

    /// <summary>Load a capability; one of the same name is unloaded first.</summary>
    public static void LoadCapability(
        string name,
        byte[] image,
        Dictionary<string, byte[]> dependencies,
        Dictionary<string, byte[]> symbols)
    {
        UnloadCapability(name);
        var context = new CollectibleLoadContext($"cap-{name}", dependencies, symbols);
        try
        {
            context.LoadFromBytes(image);
        }
        catch
        {
            context.Unload();
            throw;
        }

        Capabilities[name] = context;
    }

    /// <summary>Unload a capability. False when it was not loaded.</summary>
    public static bool UnloadCapability(string name)
    {
        if (!Capabilities.Remove(name, out var context))
        {
            return false;
        }

        context.Unload();
        return true;
    }

    /// <summary>The assembly of this simple name from any capability, or null.</summary>
    public static Assembly? Resolve(string simpleName)
    {
        foreach (var context in Capabilities.Values)
        {
            if (context.Find(simpleName) is { } assembly)
            {
                return assembly;
            }
        }

        return null;
    }
}
