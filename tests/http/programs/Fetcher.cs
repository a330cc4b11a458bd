using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;

namespace Programs;

/// <summary>Makes the requests that its question describes, all at once, and says how they went.</summary>
public sealed class Fetcher : MinimalRuntime.IAsyncFunctionHandler
{
    private static readonly HttpRequestOptionsKey<bool> StreamingRequest = new("WebAssemblyEnableStreamingRequest");
    private static readonly HttpRequestOptionsKey<bool> StreamingResponse = new("WebAssemblyEnableStreamingResponse");
    private static readonly byte[] Block = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, 1000).Select(i => $"{i:D8}\n")));
    private readonly HttpClient client = new();

    public sealed record Plan(
        string Url,
        string Method = "GET",
        Dictionary<string, string>? Headers = null,
        string? Text = null,
        int? Size = null,
        bool StreamRequest = false,
        bool? StreamResponse = null,
        bool? Redirects = null,
        int TimeoutMs = 0,
        int CancelMs = 0,
        int Take = -1,
        bool Lines = false,
        bool Throw = false,
        bool Sync = false);

    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken token)
    {
        var plans = JsonSerializer.Deserialize<Plan[]>(input.Span, JsonSerializerOptions.Web)!;
        var answers = await Task.WhenAll(plans.Select(plan => Answer(plan, token)));
        return JsonSerializer.SerializeToUtf8Bytes(answers, JsonSerializerOptions.Web);
    }

    private async Task<Dictionary<string, object?>> Answer(Plan plan, CancellationToken token)
    {
        var answer = new Dictionary<string, object?>();
        var watch = Stopwatch.StartNew();
        try
        {
            await Fetch(plan, answer, token);
        }
        catch (Exception e) when (!plan.Throw)
        {
            answer["error"] = e.GetType().Name;
            answer["message"] = e.Message;
            answer["inner"] = e.InnerException?.GetType().Name;
        }

        answer["ms"] = watch.ElapsedMilliseconds;
        return answer;
    }

    private async Task Fetch(Plan plan, Dictionary<string, object?> answer, CancellationToken token)
    {
        using var own = new CancellationTokenSource();
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(token, own.Token);
        if (plan.CancelMs > 0)
        {
            own.CancelAfter(plan.CancelMs);
        }

        var client = this.client;
        if (plan.TimeoutMs > 0 || plan.Redirects is not null)
        {
            var handler = new HttpClientHandler();
            if (plan.Redirects is { } redirects)
            {
                handler.AllowAutoRedirect = redirects;
            }

            client = new HttpClient(handler);
            if (plan.TimeoutMs > 0)
            {
                client.Timeout = TimeSpan.FromMilliseconds(plan.TimeoutMs);
            }
        }

        using var request = new HttpRequestMessage(new HttpMethod(plan.Method), plan.Url);
        foreach (var (name, value) in plan.Headers ?? [])
        {
            if (!request.Headers.TryAddWithoutValidation(name, value))
            {
                throw new ArgumentException($"header {name}");
            }
        }

        if (plan.Text is not null)
        {
            request.Content = new StringContent(plan.Text, Encoding.UTF8, "text/plain");
        }
        else if (plan.Size is { } size)
        {
            request.Content = plan.StreamRequest ? new PatternContent(size) : new ByteArrayContent(Pattern(size));
        }

        request.Options.Set(StreamingRequest, plan.StreamRequest);
        if (plan.StreamResponse is { } streamed)
        {
            request.Options.Set(StreamingResponse, streamed);
        }

        using var response = plan.Sync
            ? client.Send(request, linked.Token)
            : await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, linked.Token);
        answer["status"] = (int)response.StatusCode;
        answer["headers"] = response.Headers.Concat(response.Content.Headers).ToDictionary(h => h.Key.ToLowerInvariant(), h => string.Join(", ", h.Value));
        await using var body = await response.Content.ReadAsStreamAsync(linked.Token);
        if (plan.Lines)
        {
            var lines = new List<string>();
            await foreach (var line in Lines(body))
            {
                lines.Add(line);
            }

            answer["lines"] = lines;
            return;
        }

        await Read(body, plan.Take, answer, linked.Token);
    }

    private static async Task Read(Stream body, int take, Dictionary<string, object?> answer, CancellationToken token)
    {
        var buffer = new byte[100_000];
        var text = new MemoryStream();
        var (size, pieces, intact) = (0, 0, true);
        answer["size"] = 0;
        while ((take < 0 || size < take) && await body.ReadAsync(buffer, token) is > 0 and var count)
        {
            intact &= IsPattern(buffer.AsSpan(0, count), size);
            if (size < 4000)
            {
                text.Write(buffer, 0, Math.Min(count, 4000 - size));
            }

            size += count;
            pieces++;
            answer["size"] = size;
        }

        answer["pieces"] = pieces;
        answer["intact"] = intact;
        answer["text"] = Encoding.Latin1.GetString(text.ToArray());
    }

    private static async IAsyncEnumerable<string> Lines(Stream body)
    {
        using var reader = new StreamReader(body);
        while (await reader.ReadLineAsync() is { } line)
        {
            yield return line;
        }
    }

    private static bool IsPattern(ReadOnlySpan<byte> data, int offset)
    {
        for (var at = offset % Block.Length; !data.IsEmpty; at = 0)
        {
            var count = Math.Min(data.Length, Block.Length - at);
            if (!data[..count].SequenceEqual(Block.AsSpan(at, count)))
            {
                return false;
            }

            data = data[count..];
        }

        return true;
    }

    private static byte[] Pattern(int size)
    {
        var data = new byte[size];
        for (var at = 0; at < size; at += Block.Length)
        {
            Block.AsSpan(0, Math.Min(Block.Length, size - at)).CopyTo(data.AsSpan(at));
        }

        return data;
    }

    /// <summary>Content that is made while it is sent, and does not say how long it will be.</summary>
    private sealed class PatternContent(int size) : HttpContent
    {
        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            var data = Pattern(size);
            for (var at = 0; at < size; at += 60_000)
            {
                await stream.WriteAsync(data.AsMemory(at, Math.Min(60_000, size - at)));
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
