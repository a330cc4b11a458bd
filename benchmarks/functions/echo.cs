using System;

public sealed class Function : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input) => input.ToArray();
}
