// Names interfaces of immutable collections and none of the classes that are made for them.
using System;
using System.Collections.Immutable;
using System.Linq;
using System.Text;
using System.Text.Json;

public sealed class ImmutableInterfaces : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input) => Encoding.UTF8.GetBytes(string.Join(
        ";",
        Read<IImmutableDictionary<string, int>>("""{"a":1}"""),
        Read<IImmutableList<int>>("[1,2]"),
        Read<IImmutableQueue<int>>("[1,2]"),
        Read<IImmutableSet<int>>("[1,1]"),
        Read<IImmutableStack<int>>("[1,2]")));

    private static string Read<T>(string text)
    {
        var value = JsonSerializer.Deserialize<T>(text)!;
        return value.GetType().Name + JsonSerializer.Serialize(value);
    }
}
