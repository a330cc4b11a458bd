// LINQ, and JSON by reflection.
using System;
using System.Linq;
using System.Text.Json;

public sealed class Orders : MinimalRuntime.IFunctionHandler
{
    public sealed record Line(string Product, int Count, double Price);

    public sealed record Order(int Id, string Customer, Line[] Lines);

    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var orders = JsonSerializer.Deserialize<Order[]>(input)!;
        var sums = from order in orders
                   group order by order.Customer into customer
                   orderby customer.Key
                   select new
                   {
                       Customer = customer.Key,
                       Sum = customer.SelectMany(o => o.Lines).Sum(l => l.Count * l.Price),
                   };
        return JsonSerializer.SerializeToUtf8Bytes(sums.ToArray());
    }
}
