using System;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

public sealed record Line(string Product, int Count, double Price);

public sealed record Order(int Id, string Customer, Line[] Lines);

public sealed class Function : MinimalRuntime.IFunctionHandler
{
    private static readonly byte[] Orders = JsonSerializer.SerializeToUtf8Bytes(
        Enumerable.Range(0, 120).Select(n => new Order(n, "customer " + n, Enumerable.Range(0, 3)
            .Select(k => new Line("product " + n * k, k + n, n * 1.25 + k)).ToArray())).ToArray());

    private static readonly Regex Pattern = new(
        @"\b[a-z0-9._]+@[a-z0-9]+(?:\.[a-z]{2,})+\b", RegexOptions.CultureInvariant);

    private static readonly string Mails = string.Concat(Enumerable.Range(0, 2000).Select(
        n => $"some words and user{n}@host{n % 7}.example.org then "));

    public byte[] Execute(ReadOnlySpan<byte> input) =>
        Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(input) switch
        {
            "json" => Json(),
            "linq" => Linq(),
            "dictionary" => Dictionaries(),
            "strings" => Strings(),
            "sort" => Sort(),
            "sha256" => Sha256(),
            "regex" => Pattern.Matches(Mails).Count.ToString(),
            _ => "",
        });

    private static string Json() => JsonSerializer.SerializeToUtf8Bytes(
        JsonSerializer.Deserialize<Order[]>(Orders)).Length.ToString();

    private static string Linq()
    {
        var all = Enumerable.Range(0, 20_000);
        var squares = all.Where(n => n % 3 == 0).Select(n => (long)n * n).Sum();
        var largest = all.GroupBy(n => n % 17).Select(g => g.Count()).Max();
        var ordered = all.Select(n => n ^ 0x55).OrderBy(n => n % 101).ThenBy(n => -n).Take(10).ToList();
        var pairs = all.Zip(all.Skip(3)).Count(p => p.First < p.Second);
        var folded = all.Aggregate(0, (x, y) => x ^ y);
        return $"{squares} {largest} {string.Join(",", ordered)} {pairs} {folded}";
    }

    private static string Dictionaries()
    {
        var words = new Dictionary<string, int>();
        var numbers = new Dictionary<int, int>();
        for (var i = 0; i < 5000; i++)
        {
            var key = "key" + i % 500;
            words.TryGetValue(key, out var before);
            words[key] = before + i;
            numbers[i * 7 % 911] = i;
            numbers.ContainsKey(i);
        }

        return $"{words.Count} {words.Values.Sum()} {numbers.Sum(p => p.Value)}";
    }

    private static string Strings()
    {
        var builder = new StringBuilder();
        for (var i = 0; i < 1000; i++)
        {
            builder.Append(i).Append(' ').Append("word").Append(i * 3).Append(", ");
        }

        var sum = 0;
        foreach (var part in builder.ToString().Split(", "))
        {
            var changed = part.Trim().ToUpperInvariant().Replace("WORD", "w");
            sum += changed.Length + changed.IndexOf('w') + (changed.Contains("99") ? 1 : 0);
        }

        return $"{sum} {sum:x8} {sum / 3.0:F3}";
    }

    private static string Sort()
    {
        var random = new Random(5);
        var numbers = new int[20_000];
        for (var i = 0; i < numbers.Length; i++)
        {
            numbers[i] = random.Next();
        }

        var list = new List<int>(numbers);
        Array.Sort(numbers);
        list.Sort((x, y) => y.CompareTo(x));
        return $"{numbers[777]} {list[5]}";
    }

    private static string Sha256()
    {
        var data = new byte[30_000];
        for (var i = 0; i < data.Length; i++)
        {
            data[i] = (byte)i;
        }

        return Convert.ToHexString(SHA256.HashData(data));
    }
}
