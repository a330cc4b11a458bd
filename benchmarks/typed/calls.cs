using System;
using System.Collections.Generic;
using System.Linq;

namespace Calls;

public record Point(int X, double Y, string Name);

public enum Color { Red, Green }

public class Counter(int start)
{
    public int Value { get; set; } = start;

    public int Next(int by) => Value += by;
}

public static class Functions
{
    public static int Add(int a, int b) => a + b;

    public static double Scale(double a) => a * 2;

    public static bool Not(bool a) => !a;

    public static Color Other(Color color) => color == Color.Red ? Color.Green : Color.Red;

    public static string Greet(string name) => "Hello " + name;

    public static DateTime Later(DateTime when) => when.AddDays(1);

    public static Point Move(Point p, int dx) => p with { X = p.X + dx };

    public static int Sum(List<int> numbers) => numbers.Count;

    public static int Count(Dictionary<string, int> counts) => counts.Count;

    public static double First(ReadOnlySpan<double> numbers) => numbers[0];

    public static double FirstOfArray(double[] numbers) => numbers[0];

    public static double[] Numbers() => Kept;

    public static int Apply(Func<int, int> function, int x) => function(x);

    private static readonly double[] Kept = new double[1000];
}
