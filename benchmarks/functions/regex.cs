using System;
using System.Text;
using System.Text.RegularExpressions;

public sealed class Function : MinimalRuntime.IFunctionHandler
{
    // Compiled where the runtime can (CoreCLR), interpreted where it cannot (Mono on WebAssembly).
    private static readonly Regex Pattern = new(
        @"\b[a-z0-9._]+@[a-z0-9]+(?:\.[a-z]{2,})+\b", RegexOptions.Compiled | RegexOptions.CultureInvariant);

    public byte[] Execute(ReadOnlySpan<byte> input) =>
        Encoding.UTF8.GetBytes(Pattern.Matches(Encoding.UTF8.GetString(input)).Count.ToString());
}
