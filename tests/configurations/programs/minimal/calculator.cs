using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Calculator;

public interface INode
{
    double Value(IReadOnlyDictionary<string, double> names);

    string Show() => ToString()!;
}

public sealed record Number(double N) : INode
{
    public double Value(IReadOnlyDictionary<string, double> names) => N;
}

public sealed record Name(string Text) : INode
{
    public double Value(IReadOnlyDictionary<string, double> names) =>
        names.TryGetValue(Text, out var value) ? value : throw new FormatException($"no '{Text}'");
}

public sealed record Binary(char Operator, INode Left, INode Right) : INode
{
    private static readonly Dictionary<char, Func<double, double, double>> Operators = new()
    {
        ['+'] = (a, b) => a + b,
        ['-'] = static (a, b) => a - b,
        ['*'] = (a, b) => a * b,
        ['/'] = (a, b) => a / b,
        ['^'] = Math.Pow,
        ['%'] = Math.IEEERemainder,
    };

    public static int Strength(char c) => c switch { '+' or '-' => 1, '*' or '/' or '%' => 2, '^' => 3, _ => 0 };

    public double Value(IReadOnlyDictionary<string, double> names) =>
        Operators[Operator](Left.Value(names), Right.Value(names));

    public string Show() => $"({Left.Show()}{Operator}{Right.Show()})";
}

public ref struct Parser(ReadOnlySpan<char> text)
{
    private ReadOnlySpan<char> rest = text;

    public INode Parse(int strength = 0)
    {
        var left = Atom();
        while (true)
        {
            rest = rest.TrimStart();
            var own = rest.IsEmpty ? 0 : Binary.Strength(rest[0]);
            if (own == 0 || own <= strength)
            {
                return left;
            }

            var sign = rest[0];
            rest = rest[1..];
            left = new Binary(sign, left, Parse(sign == '^' ? own - 1 : own));
        }
    }

    public readonly void End()
    {
        if (!rest.IsEmpty)
        {
            throw new FormatException($"unexpected '{rest[0]}'");
        }
    }

    private INode Atom()
    {
        rest = rest.TrimStart();
        if (rest.IsEmpty)
        {
            throw new FormatException("unexpected end");
        }

        if (rest[0] == '(')
        {
            rest = rest[1..];
            var inner = Parse();
            rest = rest.IsEmpty || rest[0] != ')' ? throw new FormatException("missing ')'") : rest[1..];
            return inner;
        }

        var length = 0;
        while (length < rest.Length && (char.IsLetterOrDigit(rest[length]) || rest[length] == '.'))
        {
            length++;
        }

        var word = rest[..length];
        rest = rest[length..];
        return double.TryParse(word, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
            ? new Number(number)
            : new Name(word.ToString());
    }
}

/// <summary>Recursive descent over spans, records, interfaces with default methods, floating point text.</summary>
public sealed class Program : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var names = new Dictionary<string, double> { ["pi"] = Math.PI, ["length"] = input.Length, ["the"] = 0.1 };
        var lines = new List<string>();
        foreach (var text in (string[])["1+2*3", "2^3^2", "(1 + length) / 7 % 3", "1/0", "0/0 * pi", "1 +", "(2", "a b", "1e400", "9 8", Encoding.UTF8.GetString(input)])
        {
            try
            {
                var parser = new Parser(text);
                var node = parser.Parse();
                parser.End();
                lines.Add(FormattableString(node, node.Value(names)));
            }
            catch (FormatException e)
            {
                lines.Add($"{text}: {e.Message}");
            }
        }

        return Encoding.UTF8.GetBytes(string.Join("\n", lines));
    }

    private static string FormattableString(INode node, double value) =>
        string.Create(CultureInfo.InvariantCulture, $"{node.Show()} = {value:R} {value:E3} {(float)value} {(int)Math.Clamp(value, -1e9, 1e9)}");
}
