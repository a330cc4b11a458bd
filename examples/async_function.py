"""A thousand calls that wait, awaited from asyncio on two threads; a deadline; a partial answer.

Prints::

    1000 answers, faster than one after the other: True
    InvocationTimeout: 'slow' ran past its deadline of 0.2 s and ended when its token was cancelled
    what could be done in 0.2 s: part 1, part 2
"""

import asyncio
import time

import dotnet_wasm_host as dwh

report = dwh.compile_csharp("""
    using System; using System.Collections.Generic; using System.Text;
    using System.Threading; using System.Threading.Tasks;

    public sealed class Report : MinimalRuntime.IAsyncFunctionHandler
    {
        public async ValueTask<byte[]> ExecuteAsync(
            ReadOnlyMemory<byte> input, CancellationToken cancellation)
        {
            var parts = new List<string>();
            try
            {
                for (var part = 1; part <= 3; part++)
                {
                    // The third one takes its time.
                    var pause = input.Length > 0 && part == 3 ? 60_000 : 20;
                    await Task.Delay(pause, cancellation);
                    parts.Add($"part {part}");
                }
            }
            catch (OperationCanceledException) when (input.Span.SequenceEqual("partial"u8))
            {
                // Whoever asked for less gets what there is.
            }

            return Encoding.UTF8.GetBytes(string.Join(", ", parts));
        }
    }""")


async def main(pool: dwh.RuntimePool) -> None:
    started = time.monotonic()
    answers = await asyncio.gather(*(pool.invoke_async("slow") for _ in range(1000)))
    seconds = time.monotonic() - started
    print(f"{len(answers)} answers, faster than one after the other: {seconds < 1000 * 0.06}")
    try:
        await pool.invoke_async("slow", b"all of it", timeout=0.2)
    except dwh.InvocationTimeout as error:
        print(f"InvocationTimeout: {error}")
    partial = await pool.invoke_async("slow", b"partial", timeout=0.2)
    print("what could be done in 0.2 s:", partial.decode())


with dwh.RuntimePool(size=2) as pool:
    pool.load_assembly("slow", report)
    asyncio.run(main(pool))
