using System;
using System.Text.Json;

public sealed record Line(string Product, int Count, double Price);

public sealed record Order(int Id, string Customer, Line[] Lines);

public sealed class Function : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input) =>
        JsonSerializer.SerializeToUtf8Bytes(JsonSerializer.Deserialize<Order[]>(input));
}
