using System; using System.Collections.Generic; using System.Globalization; using System.Text;
using System.Threading.Tasks;
using System.Linq;
public sealed class Program : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var o = new StringBuilder();
        Run(Encoding.UTF8.GetString(input), o);
        return Encoding.UTF8.GetBytes(o.ToString());
    }
    static void Run(string text, StringBuilder o) {
        var words = text.Split(' ');
        o.AppendJoin(",", words.GroupBy(w => w.Length).OrderByDescending(g => g.Key)
            .Select(g => $"{g.Key}:{string.Join("|", g.Distinct().Order())}"));
        o.Append(Enumerable.Range(1, 10).Where(n => n % 2 == 0).Sum())
         .Append(words.Zip(words.Skip(1)).Count(p => p.First == p.Second))
         .Append(words.Distinct().ToDictionary(w => w + w.Length, w => w.Length).Values.Max())
         .Append(new[] { 3.5, 1.5 }.Average()).Append(words.Chunk(2).Last().Length)
         .Append(string.Join(",", from a in words from b in words where a != b orderby a, b select a + b));
    }
}
