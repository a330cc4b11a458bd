using System;
using System.Reflection;
using System.Runtime.Loader;

namespace MinimalRuntime;

/// <summary>
/// Lets <c>Type.GetType("T, Library")</c> find a library of the function that asks. Mono looks
/// for it in the default context only, and says who asked when it did not find it.
/// </summary>
internal static class TypeNames
{
    /// <summary>Begin to answer; part of every image.</summary>
    public static void Install() => AppDomain.CurrentDomain.AssemblyResolve += Resolve;

    private static Assembly? Resolve(object? sender, ResolveEventArgs request) =>
        request.RequestingAssembly is { } asking
        && AssemblyLoadContext.GetLoadContext(asking) is CollectibleLoadContext context
        && new AssemblyName(request.Name).Name is { } simpleName
            ? context.Find(simpleName) ?? CapabilityLoader.Resolve(simpleName)
            : null;
}
