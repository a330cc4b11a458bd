using System;
using System.Reflection;

namespace MinimalRuntime;

/// <summary>One loaded function.</summary>
internal sealed class LoadedFunction(
    string functionId,
    int handle,
    CollectibleLoadContext context,
    Assembly assembly,
    IFunctionHandler handler)
{
    public readonly string FunctionId = functionId;
    public readonly int Handle = handle;
    public readonly CollectibleLoadContext Context = context;
    public readonly Assembly Assembly = assembly;
    public readonly IFunctionHandler Handler = handler;
    public readonly DateTime LoadedAt = DateTime.UtcNow;

    public byte[] Execute(ReadOnlySpan<byte> input) =>
        this.Handler.Execute(input) ?? throw new InvalidOperationException(
            $"{this.Handler.GetType().FullName}.Execute returned null; return an empty array for no result.");
}
