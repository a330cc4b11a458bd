using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;

namespace Queries;

public sealed record Order(int Id, string Customer, decimal Total, string[] Items);

/// <summary>Every kind of operator over made-up orders and the words of the payload.</summary>
public sealed class Program : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var words = Encoding.UTF8.GetString(input).Split(' ');
        var orders = Enumerable.Range(1, 30)
            .Select(i => new Order(i, words[i % words.Length], i * 7.25m % 40, [.. words.Take(i % 4)]))
            .ToList();
        var text = new StringBuilder();

        void Line<T>(IEnumerable<T> values) => text.AppendJoin(",", values).Append('\n');

        Line(from order in orders
             where order.Total > 10
             join name in words.Distinct() on order.Customer equals name into matches
             from match in matches.DefaultIfEmpty("none")
             let vat = order.Total * 0.19m
             orderby match descending, vat
             select $"{match}:{vat:F3}");
        Line(orders.GroupBy(o => o.Customer, o => o.Total, (name, totals) => $"{name}={totals.Sum()}/{totals.Average():F2}").OrderBy(s => s, StringComparer.Ordinal));
        Line(orders.ToLookup(o => o.Items.Length)[2].Select(o => o.Id));
        Line(orders.SelectMany(o => o.Items, (o, item) => o.Id + item).Skip(3).SkipLast(2).Where((_, i) => i % 5 == 0));
        Line(orders.Select(o => o.Total).OrderDescending().TakeWhile(t => t > 20));
        Line(orders.Chunk(7).Select(chunk => chunk.Sum(o => o.Id)));
        Line(words.Zip(Enumerable.Range(1, 100), (w, n) => w + n).Reverse().Append("end").Prepend("begin"));
        Line(words.Union(["the", "x"]).Except(["and"]).Intersect(words.Concat(["x"])));
        Line(words.DistinctBy(w => w.Length).OrderBy(w => w.Length).ThenByDescending(w => w));
        Line(orders.AggregateBy(o => o.Customer, 0m, (sum, o) => sum + o.Total).Select(p => $"{p.Key}{p.Value}"));
        Line(orders.CountBy(o => o.Items.Length).Select(p => $"{p.Key}x{p.Value}"));
        Line(words.Index().Where(p => p.Index % 2 == 0).Select(p => p.Item));
        Line(orders.MaxBy(o => o.Total)!.Items);
        Line(Enumerable.Repeat("r", 3).Cast<object>().Concat([1, 2L, 'c']).OfType<string>());
        Line(new[] { 3.5, double.NaN, -1 }.Order());
        text.Append(orders.Any(o => o.Id == 30)).Append(orders.All(o => o.Total >= 0)).Append(orders.Count(o => o.Id > 5));
        text.Append(orders.First(o => o.Id > 3).Id).Append(orders.LastOrDefault(o => o.Id > 99)?.Id ?? -1).Append(orders.ElementAt(^2).Id);
        text.Append(orders.Sum(o => (double)o.Total)).Append(words.Min()).Append(words.Max(w => w.Length)).Append(words.SequenceEqual(words.ToArray()));
        text.Append(Enumerable.Range(0, 10).Aggregate(1L, (a, b) => a * 3 + b)).Append(orders.ToDictionary(o => o.Id)[4].Total);
        text.Append(orders.ToHashSet().Contains(orders[3] with { })).Append(words.TryGetNonEnumeratedCount(out var count)).Append(count);
        foreach (var failing in (Func<object?>[])[() => orders.Single(), () => words.Skip(999).First(), () => orders.ToDictionary(o => o.Customer), () => new int[0].Max()])
        {
            try
            {
                text.Append(failing());
            }
            catch (Exception e)
            {
                text.Append('\n').Append(e.GetType().Name).Append(e.Message);
            }
        }

        return Encoding.UTF8.GetBytes(text.ToString());
    }
}
