using System; using System.Collections.Generic; using System.Globalization; using System.Text;
using System.Threading.Tasks;
using System.Net; using System.Net.Http;
public sealed class Program : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var o = new StringBuilder();
        Run(Encoding.UTF8.GetString(input), o);
        return Encoding.UTF8.GetBytes(o.ToString());
    }
    static void Run(string text, StringBuilder o) {
        using var client = new HttpClient { BaseAddress = new Uri("https://example.invalid/a/") };
        client.DefaultRequestHeaders.Accept.ParseAdd("text/plain");
        using var request = new HttpRequestMessage(HttpMethod.Post, "b?c=d") { Content = new StringContent(text) };
        request.Headers.Add("X-Test", "1");
        o.Append(new Uri(client.BaseAddress, request.RequestUri!)).Append(request.Content.Headers.ContentType);
        o.Append(request.Content.ReadAsStringAsync().GetAwaiter().GetResult()).Append(request.Headers);
        o.Append((int)HttpStatusCode.NotFound).Append(HttpStatusCode.NotFound);
    }
}
