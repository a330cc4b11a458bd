"""C# calls Python: bytes, values as JSON, a coroutine, an exception, a structured log line.

Prints::

    3 apples: 1.20 each, 3.60 together
    KeyError: 'kiwi'
    log: 3 of apple priced (orders, {'Count': 3, 'Item': 'apple'})
"""

import asyncio
import logging

import dotnet_wasm_host as dwh

PRICES = {"apple": 1.20}

orders = dwh.compile_csharp("""
    using System; using System.Text; using System.Threading; using System.Threading.Tasks;
    using MinimalRuntime;

    public sealed class Orders : IAsyncFunctionHandler
    {
        private sealed record Line(string Item, int Count);
        private sealed record Total(double Each, double Together);

        public async ValueTask<byte[]> ExecuteAsync(
            ReadOnlyMemory<byte> input, CancellationToken cancellation)
        {
            var item = Encoding.UTF8.GetString(input.Span);
            Host.Call("check", input.Span);             // bytes in, bytes out, at once
            var total = await HostJson.CallAsync<Line, Total>("price", new(item, 3), cancellation);
            Log.Information("{Count} of {Item} priced", 3, item);
            return Encoding.UTF8.GetBytes(FormattableString.Invariant(
                $"3 {item}s: {total!.Each:F2} each, {total.Together:F2} together"));
        }
    }""")


def check(item: bytes) -> None:
    PRICES[item.decode()]


@dwh.json_function
async def price(line: dict) -> dict:
    await asyncio.sleep(0.01)  # a database, say
    each = PRICES[line["item"]]
    return {"each": each, "together": each * line["count"]}


class Lines(logging.Handler):
    """Keeps what functions said."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} ({record.function_id}, {record.fields})")


lines = Lines()
logging.getLogger("dotnet_wasm_host.guest").addHandler(lines)
logging.getLogger("dotnet_wasm_host.guest").setLevel(logging.INFO)

with dwh.Runtime(host_functions={"check": check, "price": price}) as runtime:
    runtime.load_assembly("orders", orders)
    print(runtime.invoke("orders", b"apple").decode())
    try:
        runtime.invoke("orders", b"kiwi")
    except KeyError as error:  # the very exception that check() raised
        print("KeyError:", error)
print("log:", *lines.lines)
