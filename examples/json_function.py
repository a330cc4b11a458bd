"""Objects in and out: a C# record on one side, a dict on the other.

Prints::

    {'Customer': 'Ada', 'Total': 42.5, 'Lines': 2}
"""

import json

import dotnet_wasm_host as dwh

ORDERS = """
using System;
using System.Linq;
using System.Text.Json;

public sealed record Line(string Product, int Count, decimal Price);
public sealed record Order(string Customer, Line[] Lines);
public sealed record Invoice(string Customer, decimal Total, int Lines);

public sealed class Invoicing : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var order = JsonSerializer.Deserialize<Order>(input)
            ?? throw new ArgumentException("an order is needed");
        var total = order.Lines.Sum(line => line.Count * line.Price);
        return JsonSerializer.SerializeToUtf8Bytes(
            new Invoice(order.Customer, total, order.Lines.Length));
    }
}
"""

order = {
    "Customer": "Ada",
    "Lines": [
        {"Product": "gear", "Count": 5, "Price": 2.5},
        {"Product": "card", "Count": 300, "Price": 0.10},
    ],
}

with dwh.Runtime() as runtime:
    runtime.load_assembly("invoice", dwh.compile_csharp(ORDERS))
    print(json.loads(runtime.invoke("invoice", json.dumps(order).encode())))
