using System; using System.Collections.Generic; using System.Globalization; using System.Text;
using System.Threading.Tasks;

public sealed class Program : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var o = new StringBuilder();
        Run(Encoding.UTF8.GetString(input), o);
        return Encoding.UTF8.GetBytes(o.ToString());
    }
    static void Run(string text, StringBuilder o) {
        var words = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var counts = new Dictionary<string, int>(StringComparer.OrdinalIgnoreCase);
        foreach (var word in words) { counts.TryGetValue(word, out var n); counts[word] = n + 1; }
        var keys = new List<string>(counts.Keys); keys.Sort(StringComparer.Ordinal);
        foreach (var key in keys) o.Append(key).Append('=').Append(counts[key]).Append(';');
        o.Append($"{1234.5:F2} {255:x4} {-7 / 2} {7 % 3} {1.0 / 3} {long.MaxValue} {true}");
        o.Append(decimal.Parse("12.50", CultureInfo.InvariantCulture) * 3);
        o.Append(int.TryParse("x", out _)).Append(double.Parse("1e3", CultureInfo.InvariantCulture));
        o.Append(Math.Sqrt(2)).Append(Convert.ToBase64String(new byte[] { 1, 2, 3 }));
        o.Append(new TimeSpan(1, 2, 3)).Append(new DateTime(2024, 2, 28).AddDays(2).ToString("s"));
        var stack = new Stack<int>(); stack.Push(1); stack.Push(2); o.Append(stack.Pop());
        var queue = new Queue<(int, string)>(); queue.Enqueue((3, "c")); o.Append(queue.Dequeue());
        Span<int> numbers = stackalloc int[] { 5, 3, 9, 1 }; numbers.Reverse(); o.Append(numbers[0]);
        var array = new[] { 5, 3, 9, 1 }; Array.Sort(array); o.Append(string.Join(",", array));
        try { object nothing = null!; nothing.ToString(); }
        catch (NullReferenceException e) { o.Append(e.Message); }
        try { checked { int big = int.MaxValue; big++; o.Append(big); } }
        catch (OverflowException e) { o.Append(e.Message); }
        try { throw new ArgumentException("wrong", "text"); }
        catch (ArgumentException e) when (e.ParamName == "text") { o.Append(e.Message); }
        o.Append(Sum().GetAwaiter().GetResult());
        o.Append(new Point(1, 2) with { Y = 5 }).Append(Day.Tuesday).Append(Enum.Parse<Day>("Monday"));
        foreach (var i in Fibonacci()) { if (i > 50) break; o.Append(i).Append(' '); }
    }
    static async Task<int> Sum() { var n = 0; for (var i = 0; i < 3; i++) n += await Task.FromResult(i); return n; }
    static IEnumerable<int> Fibonacci() { int a = 0, b = 1; while (true) { yield return a; (a, b) = (b, a + b); } }
    public record Point(int X, int Y);
    enum Day { Monday, Tuesday }
}
