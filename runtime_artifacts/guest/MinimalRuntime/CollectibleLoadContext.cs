using System;
using System.Collections.Generic;
using System.IO;
using System.Reflection;
using System.Runtime.Loader;

namespace MinimalRuntime;

/// <summary>
/// The collectible context of one function or capability. It resolves the function's own
/// dependencies first, so two functions may bring different versions of one library; the base
/// library and the contract are not among them (the host leaves them out) and stay shared.
/// </summary>
/// <param name="name">Shown by debuggers and in error messages.</param>
/// <param name="dependencies">Images by simple name, satellites by culture/name; loaded when something refers to them.</param>
/// <param name="symbols">Portable PDBs by simple name; read when a stack trace is shown.</param>
internal sealed class CollectibleLoadContext(
    string name, Dictionary<string, byte[]> dependencies, Dictionary<string, byte[]> symbols)
    : AssemblyLoadContext(name, isCollectible: true)
{
    private readonly Dictionary<string, PortablePdb> read = [];

    /// <summary>Files and lines of one of its assemblies, if it has a PDB.</summary>
    public PortablePdb? Symbols(Assembly assembly)
    {
        if (assembly.GetName().Name is { } simpleName)
        {
            if (this.read.TryGetValue(simpleName, out var known))
            {
                return known;
            }

            // Removed first: one that is damaged is read only once.
            if (symbols.Remove(simpleName, out var pdb))
            {
                return this.read[simpleName] = new PortablePdb(pdb);
            }
        }

        return null;
    }

    public Assembly LoadFromBytes(byte[] image)
    {
        using var stream = new MemoryStream(image, writable: false);
        return this.LoadFromStream(stream);
    }

    /// <summary>The assembly of this simple name, if it is one of this context.</summary>
    public Assembly? Find(string simpleName)
    {
        foreach (var assembly in this.Assemblies)
        {
            if (assembly.GetName().Name == simpleName)
            {
                return assembly;
            }
        }

        return dependencies.Remove(simpleName, out var image) ? this.LoadFromBytes(image) : null;
    }

    // Satellites of every culture have one simple name; the host puts the culture before it.
    protected override Assembly? Load(AssemblyName assemblyName) =>
        assemblyName.Name is not { } simpleName ? null
        : assemblyName.CultureName is { Length: > 0 } culture
            ? dependencies.Remove($"{culture}/{simpleName}", out var satellite)
                ? this.LoadFromBytes(satellite) : null
        : dependencies.Remove(simpleName, out var image) ? this.LoadFromBytes(image)
        : CapabilityLoader.Resolve(simpleName);
}
