// What pythonnet needs to run the same functions on CoreCLR: it cannot pass a ReadOnlySpan itself.
using System;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.Loader;
using MinimalRuntime;

namespace Benchmarks;

public sealed class Function(AssemblyLoadContext context, IFunctionHandler handler)
{
    /// <summary>As a user of pythonnet would write it.</summary>
    public byte[] Invoke(byte[] input) => handler.Execute(input);

    /// <summary>The cheapest way in: pythonnet converts two integers.</summary>
    public unsafe byte[] InvokeAt(long address, int length) =>
        handler.Execute(new ReadOnlySpan<byte>((void*)address, length));

    public void Unload() => context.Unload();
}

public static class Bridge
{
    private static Assembly? contract;

    static Bridge()
    {
        // The functions are compiled against .NET 10; this runtime may have older assemblies.
        AssemblyLoadContext.Default.Resolving += (context, name) =>
            name.Name == "MinimalRuntime" ? contract
            : name.Version is null ? null
            : context.LoadFromAssemblyName(new AssemblyName(name.Name!));
    }

    public static void SetContract(string path) =>
        contract = AssemblyLoadContext.Default.LoadFromAssemblyPath(path);

    public static byte[] Read(string path) => File.ReadAllBytes(path);

    public static Function Load(byte[] image)
    {
        var context = new AssemblyLoadContext("function", isCollectible: true);
        var assembly = context.LoadFromStream(new MemoryStream(image));
        var type = assembly.GetTypes().First(t => typeof(IFunctionHandler).IsAssignableFrom(t));
        return new Function(context, (IFunctionHandler)Activator.CreateInstance(type)!);
    }

    public static void Collect()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
    }
}
