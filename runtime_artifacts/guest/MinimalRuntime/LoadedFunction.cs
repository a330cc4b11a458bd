using System;
using System.Reflection;
using System.Threading;
using System.Threading.Tasks;

namespace MinimalRuntime;

/// <summary>One loaded function.</summary>
internal sealed class LoadedFunction(
    string functionId,
    int handle,
    CollectibleLoadContext context,
    Assembly assembly,
    object handler)
{
    public readonly string FunctionId = functionId;
    public readonly int Handle = handle;
    public readonly CollectibleLoadContext Context = context;
    public readonly Assembly Assembly = assembly;
    public readonly object Instance = handler;

    /// <summary>Null for a function that is asynchronous only.</summary>
    public readonly IFunctionHandler? Handler = handler as IFunctionHandler;
    public readonly DateTime LoadedAt = DateTime.UtcNow;

    public bool IsAsync => this.Handler is null;

    public byte[] Execute(ReadOnlySpan<byte> input) =>
        this.Handler!.Execute(input) ?? throw this.ReturnedNull(nameof(this.Execute));

    public async ValueTask<byte[]> ExecuteAsync(byte[] input, CancellationToken cancellation) =>
        await ((IAsyncFunctionHandler)this.Instance).ExecuteAsync(input, cancellation)
            ?? throw this.ReturnedNull(nameof(this.ExecuteAsync));

    private InvalidOperationException ReturnedNull(string method) => new(
        $"{this.Instance.GetType().FullName}.{method} returned null; return an empty array for no result.");
}
