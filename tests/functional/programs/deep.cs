using System;
using System.Collections.Generic;
using System.Text;

namespace Programs;

/// <summary>
/// Recursion to a depth, <c>way depth</c>. The managed stack is in linear memory; what goes through
/// native code of the runtime uses the stack of the host's thread as well.
/// </summary>
public sealed class Deep : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var words = Encoding.UTF8.GetString(input).Split(' ');
        var depth = int.Parse(words[1]);
        var reached = words[0] switch
        {
            "managed" => Managed(depth),
            "reflection" => Reflected(depth),
            "constructors" => Made(depth),
            "formatting" => new Nested(depth).ToString().Length,
            "sorting" => Sorted(depth),
            "generics" => Generic<int>(depth),
            _ => throw new ArgumentException(words[0]),
        };
        return Encoding.UTF8.GetBytes(reached.ToString());
    }

    public static int Reflected(int depth) =>
        depth == 0 ? 0 : 1 + (int)typeof(Deep).GetMethod("Reflected")!.Invoke(null, [depth - 1])!;

    private static int Managed(int depth) => depth == 0 ? 0 : 1 + Managed(depth - 1);

    private static int Made(int depth) =>
        depth == 0 ? 0 : ((Chain)Activator.CreateInstance(typeof(Chain), depth)!).Length;

    private static int Sorted(int depth)
    {
        if (depth == 0)
        {
            return 0;
        }

        var below = -1;
        new List<int> { 2, 1 }.Sort((a, b) =>
        {
            below = below < 0 ? Sorted(depth - 1) : below;
            return a - b;
        });
        return 1 + below;
    }

    private static int Generic<T>(int depth) => depth == 0 ? 0 : 1 + Generic<List<T>>(depth - 1);

    public sealed class Chain(int depth)
    {
        public readonly int Length = 1 + Made(depth - 1);
    }

    private sealed class Nested(int depth)
    {
        public override string ToString() => depth == 0 ? "" : $"{new Nested(depth - 1)}.";
    }
}
