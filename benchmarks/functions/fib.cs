using System;
using System.Buffers.Text;
using System.Text;

public sealed class Function : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        Utf8Parser.TryParse(input, out int n, out _);
        return Encoding.UTF8.GetBytes(Fib(n).ToString());
    }

    private static int Fib(int n) => n < 2 ? n : Fib(n - 1) + Fib(n - 2);
}
