using System;
using System.Collections.Generic;
using System.Linq;
using System.Numerics;
using System.Text;
using System.Text.Json;

namespace Programs;

/// <summary>Query operators over the words it is asked about.</summary>
public sealed class Linq : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var words = question.EnumerateArray().Select(e => e.GetString()!).ToList();
        var byLength =
            from word in words
            group word by word.Length into same
            orderby same.Key descending
            select new { Length = same.Key, Words = same.OrderBy(w => w, StringComparer.Ordinal).ToArray() };
        return new
        {
            ByLength = byLength.ToArray(),
            Distinct = words.Distinct().Count(),
            Pairs = words.Zip(words.Skip(1), (a, b) => a + "-" + b).ToArray(),
            Chunks = words.Chunk(3).ToArray(),
            Letters = words.SelectMany(w => w).GroupBy(c => c).ToDictionary(g => g.Key.ToString(), g => g.Count()),
            Longest = words.MaxBy(w => w.Length),
            Total = words.Sum(w => w.Length),
            Joined = words.Join(words, w => w.Length, w => w.Length, (a, b) => (a, b)).Count(),
            Running = words.Aggregate(new List<int> { 0 }, (sums, w) => [.. sums, sums[^1] + w.Length]),
            Any = words.Any(w => w.Length > 5),
            Except = words.Except(["the", "and"]).Order(StringComparer.Ordinal).ToArray(),
        };
    }
}

/// <summary>Generic math, variance, constraints and statics that exist once for each type.</summary>
public sealed class Generics : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var numbers = question.EnumerateArray().Select(e => e.GetInt32()).ToArray();
        PerType<int>.Uses += 2;
        PerType<string>.Uses += 1;
        IEnumerable<object> covariant = new List<string> { "a", "b" };
        Comparison<object> general = (x, y) => string.CompareOrdinal(x.ToString(), y.ToString());
        Comparison<string> contravariant = general;
        var tree = new Tree<int>();
        foreach (var number in numbers)
        {
            tree.Add(number);
        }

        return new
        {
            Int = Sum(numbers),
            Double = Sum(numbers.Select(n => n + 0.5).ToArray()),
            Big = Sum(numbers.Select(n => (BigInteger)n << 70).ToArray()).ToString(),
            Sorted = tree.ToArray(),
            Covariant = covariant.Count(),
            Contravariant = contravariant("a", "b"),
            PerInt = PerType<int>.Uses,
            PerString = PerType<string>.Uses,
            Default = new[] { Default<int>() is 0, Default<string>() is null, Default<DateTime>() == default },
            Nested = typeof(Dictionary<string, List<Tree<decimal>>>).ToString(),
        };
    }

    private static T Sum<T>(T[] values)
        where T : INumber<T>
    {
        var sum = T.Zero;
        foreach (var value in values)
        {
            sum += value;
        }

        return sum;
    }

    private static T? Default<T>() => default;

    private static class PerType<T>
    {
        public static int Uses;
    }
}

internal sealed class Tree<T> : IEnumerable<T>
    where T : IComparable<T>
{
    private Node? root;

    public void Add(T value) => Insert(ref root, value);

    public IEnumerator<T> GetEnumerator() => Walk(root).GetEnumerator();

    System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();

    private static void Insert(ref Node? node, T value)
    {
        if (node is null)
        {
            node = new Node(value);
        }
        else
        {
            Insert(ref value.CompareTo(node.Value) < 0 ? ref node.Left : ref node.Right, value);
        }
    }

    private static IEnumerable<T> Walk(Node? node)
    {
        if (node is null)
        {
            yield break;
        }

        foreach (var value in Walk(node.Left))
        {
            yield return value;
        }

        yield return node.Value;
        foreach (var value in Walk(node.Right))
        {
            yield return value;
        }
    }

    private sealed class Node(T value)
    {
        public readonly T Value = value;
        public Node? Left;
        public Node? Right;
    }
}

public record Person(string Name, int Age)
{
    public string Initial => Name[..1];
}

public sealed record Employee(string Name, int Age, string Company) : Person(Name, Age);

public readonly record struct Point(int X, int Y)
{
    public static Point operator +(Point a, Point b) => new(a.X + b.X, a.Y + b.Y);
}

/// <summary>Records: equality by value, copies, deconstruction, text.</summary>
public sealed class Records : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var person = new Person(question.GetProperty("name").GetString()!, question.GetProperty("age").GetInt32());
        var older = person with { Age = person.Age + 1 };
        Person employee = new Employee(person.Name, person.Age, "ACME");
        var (name, age) = older;
        return new
        {
            Text = person.ToString(),
            Equal = person == new Person(person.Name, person.Age),
            SameHash = person.GetHashCode() == new Person(person.Name, person.Age).GetHashCode(),
            Older = older != person,
            Deconstructed = $"{name}:{age}",
            Subtype = employee.ToString(),
            SubtypeEqual = employee == person,
            Sum = (new Point(1, 2) + new Point(3, 4)).ToString(),
            person.Initial,
        };
    }
}

/// <summary>Names the shape of each list of numbers.</summary>
public sealed class Patterns : JsonHandler
{
    protected override object? Answer(JsonElement question) =>
        question.EnumerateArray().Select(e => Describe(e.EnumerateArray().Select(n => n.GetInt32()).ToArray())).ToArray();

    private static string Describe(int[] numbers) => numbers switch
    {
        [] => "empty",
        [var one] when one < 0 => "one negative",
        [0] => "zero",
        [_] => "one",
        [1, .., 9] => "from 1 to 9",
        [> 100 or < -100, ..] => "starts big",
        [var first, .. var middle, var last] when first == last => $"framed {middle.Length}",
        { Length: >= 5 and not 7 } => "long",
        _ => "other",
    };
}

/// <summary>Lazy sequences: nothing runs before it is asked for, and what was begun is cleaned up.</summary>
public sealed class Iterators : JsonHandler
{
    private readonly List<string> events = [];

    protected override object? Answer(JsonElement question)
    {
        events.Clear();
        var count = question.GetInt32();
        var sequence = Fibonacci();
        events.Add("made");
        var taken = new List<long>();
        foreach (var number in sequence)
        {
            if (taken.Count == count)
            {
                break;
            }

            taken.Add(number);
        }

        return new { Taken = taken, Events = events, Primes = Primes().Take(count).ToArray() };
    }

    private IEnumerable<long> Fibonacci()
    {
        events.Add("begun");
        try
        {
            for (var (a, b) = (0L, 1L); ; (a, b) = (b, a + b))
            {
                yield return a;
            }
        }
        finally
        {
            events.Add("ended");
        }
    }

    private static IEnumerable<int> Primes() =>
        Enumerable.Range(2, int.MaxValue - 2).Where(n => Enumerable.Range(2, (int)Math.Sqrt(n) - 1).All(d => n % d != 0));
}

internal interface IGreeter
{
    string Name { get; }

    string Greet() => $"Hello {Name}";
}

internal sealed class Polite : IGreeter
{
    public string Name => "Sir";
}

internal sealed class Rude : IGreeter
{
    public string Name => "you";

    public string Greet() => $"Oi {Name}";
}

/// <summary>Closures, events, local functions, operators, default interface methods, checked arithmetic.</summary>
public sealed class Members : JsonHandler
{
    private event Func<int, int>? Changed;

    protected override object? Answer(JsonElement question)
    {
        var number = question.GetInt32();
        var actions = new List<Func<int>>();
        for (var i = 0; i < 3; i++)
        {
            var copy = i;
            actions.Add(() => copy * number);
        }

        Changed = null;
        Changed += n => n + 1;
        Changed += n => n * 2;
        var results = Changed.GetInvocationList().Cast<Func<int, int>>().Select(f => f(number)).ToArray();

        int Factorial(int n) => n <= 1 ? 1 : n * Factorial(n - 1);

        string overflow;
        try
        {
            overflow = checked(int.MaxValue + number).ToString();
        }
        catch (OverflowException)
        {
            overflow = "overflow";
        }

        var matrix = new Matrix { [0, 0] = number, [1, 1] = 2 };
        return new
        {
            Closures = actions.Select(a => a()).ToArray(),
            Events = results,
            Factorial = Factorial(number),
            Overflow = overflow,
            Wrapped = unchecked(int.MaxValue + number),
            Greetings = new IGreeter[] { new Polite(), new Rude() }.Select(g => g.Greet()).ToArray(),
            Determinant = (matrix * matrix).Determinant,
            Tuple = (number, "x") == (number, "x"),
            Ternary = number is > 3 and < 10 ? "middle" : "outside",
            Goto = CountDown(number),
            Named = Keyword(b: 1, a: 2),
        };
    }

    private static string Keyword(int a, int b, string c = "default") => $"{a}{b}{c}";

    private static string CountDown(int from)
    {
        var text = new StringBuilder();
    again:
        text.Append(from);
        if (--from > 0)
        {
            goto again;
        }

        return text.ToString();
    }

    private sealed class Matrix
    {
        private readonly int[,] cells = new int[2, 2];

        public int Determinant => (this[0, 0] * this[1, 1]) - (this[0, 1] * this[1, 0]);

        public int this[int row, int column]
        {
            get => cells[row, column];
            set => cells[row, column] = value;
        }

        public static Matrix operator *(Matrix a, Matrix b)
        {
            var product = new Matrix();
            for (var i = 0; i < 8; i++)
            {
                product[i >> 2, i & 1] += a[i >> 2, (i >> 1) & 1] * b[(i >> 1) & 1, i & 1];
            }

            return product;
        }
    }
}
