// Every question leaves garbage of many shapes behind; answers depend on all of it being right.
using System; using System.Collections.Generic; using System.Linq; using System.Text;
using System.Threading.Tasks;
public sealed class Stress : MinimalRuntime.IFunctionHandler {
    private static readonly Dictionary<string, Node> Kept = new();
    private static int finalized;
    private sealed class Node {
        public Node? Next; public string Name = ""; public object? Boxed; public int[] Data = [];
        public (int, string) Pair; public WeakReference<Node>? Weak;
    }
    private sealed class Finalized { ~Finalized() => finalized++; }
    private struct Fat { public decimal A; public Guid B; public string C; }

    public byte[] Execute(ReadOnlySpan<byte> input) {
        var text = Encoding.UTF8.GetString(input);
        var count = int.Parse(text.Split(':')[1]);
        return Encoding.UTF8.GetBytes(text.Split(':')[0] switch {
            "shapes" => Shapes(count), "grow" => Grow(count), "collect" => Collect(count),
            "async" => Async(count).GetAwaiter().GetResult(), _ => "?" });
    }

    private static string Shapes(int count) {
        Node? list = null; var fats = new List<Fat>(); long sum = 0;
        for (var i = 0; i < count; i++) {
            var node = new Node { Next = i % 100 == 0 ? null : list, Name = $"n{i:X}", Boxed = i % 3 == 0 ? i : (object)(i * 0.5) };
            node.Data = new int[i % 50]; node.Pair = (i, node.Name); node.Weak = new(node); list = node;
            Array.Fill(node.Data, i);
            fats.Add(new Fat { A = i / 7m, B = new Guid(i, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), C = node.Name });
            if (i % 97 == 0) { Kept[node.Name] = node; }
            try { if (i % 53 == 0) { throw new InvalidOperationException(node.Name); } }
            catch (InvalidOperationException e) when (e.Message.Length > 1) { sum += e.Message.Length; }
            sum += node.Data.Sum();
        }
        var order = fats.OrderByDescending(f => f.C, StringComparer.Ordinal).ThenBy(f => f.A).Take(5);
        return sum + string.Join(",", order.Select(f => f.C + f.A.ToString("F3") + f.B)) + Kept.Count
            + fats.GroupBy(f => f.C.Length).Sum(g => g.Count() * g.Key);
    }

    private static string Grow(int megabytes) {
        var blocks = new List<byte[]>(); var sum = 0;
        for (var i = 0; i < megabytes; i++) { var b = new byte[1 << 20]; b[i] = (byte)i; blocks.Add(b); }
        for (var i = 0; i < megabytes; i++) { sum += blocks[i][i]; }
        return sum.ToString();
    }

    private static string Collect(int rounds) {
        for (var i = 0; i < rounds; i++) {
            for (var k = 0; k < 20; k++) { _ = new Finalized(); }
            GC.Collect(i % 2); var junk = new object[1000]; junk[i % 1000] = new Node();
            GC.KeepAlive(junk);
        }
        GC.Collect(); GC.WaitForPendingFinalizers();
        return Kept.Values.All(n => n.Data.All(d => d == n.Pair.Item1) && n.Pair.Item2 == n.Name)
            && Kept.Values.All(n => n.Weak!.TryGetTarget(out var same) && same == n) ? "whole" : "broken";
    }

    private static async Task<string> Async(int count) {
        var tasks = Enumerable.Range(0, count).Select(async i => { await Task.Yield(); return i * 2; });
        return (await Task.WhenAll(tasks)).Sum().ToString();
    }
}
