"""Do the expensive work once, freeze it, and start from there as often as you like.

Prints::

    built the table: 78498 primes
    instance 0: 78498 primes, calls before this one: 1
    instance 1: 78498 primes, calls before this one: 1
    instance 2: 78498 primes, calls before this one: 1
"""

import dotnet_wasm_host as dwh

PRIMES = """
using System; using System.Linq; using System.Text;
public sealed class Primes : MinimalRuntime.IFunctionHandler {
    private static readonly int[] table = Sieve(1_000_000);
    private static int calls;
    public byte[] Execute(ReadOnlySpan<byte> input) =>
        Encoding.UTF8.GetBytes($"{table.Length} primes, calls before this one: {calls++}");
    private static int[] Sieve(int limit) {
        var composite = new bool[limit];
        for (var i = 2; i * i < limit; i++)
            if (!composite[i])
                for (var j = i * i; j < limit; j += i) composite[j] = true;
        return Enumerable.Range(2, limit - 2).Where(n => !composite[n]).ToArray();
    }
}
"""

with dwh.Runtime() as runtime:
    runtime.load_assembly("primes", dwh.compile_csharp(PRIMES))
    print("built the table:", runtime.invoke("primes").decode().partition(",")[0])
    image = runtime.snapshot()

for number in range(3):
    with dwh.Runtime(image) as fresh:
        print(f"instance {number}:", fresh.invoke("primes").decode())
