using System;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Contents;

/// <summary>Answers without a network, and notes what it is asked.</summary>
public sealed class Recorder(List<string> log) : DelegatingHandler
{
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellation)
    {
        var body = request.Content is null ? "" : await request.Content.ReadAsStringAsync(cancellation);
        log.Add($"{request.Method} {request.RequestUri} {request.Version} [{request.Headers}] [{request.Content?.Headers}] {body}");
        if (request.RequestUri!.AbsolutePath == "/lost")
        {
            throw new HttpRequestException("no way", null, HttpStatusCode.BadGateway);
        }

        var response = new HttpResponseMessage(request.Method == HttpMethod.Get ? HttpStatusCode.OK : HttpStatusCode.Conflict)
        {
            Content = new ByteArrayContent(Encoding.UTF8.GetBytes($"echo {body.Length}")),
            ReasonPhrase = "as told",
            RequestMessage = request,
        };
        response.Headers.ETag = new EntityTagHeaderValue("\"abc\"", true);
        response.Headers.TryAddWithoutValidation("X-Many", ["a", "b"]);
        response.Content.Headers.ContentType = MediaTypeHeaderValue.Parse("text/plain; charset=utf-8");
        return response;
    }
}

/// <summary>Requests, contents and headers of every kind.</summary>
public sealed class Program : MinimalRuntime.IAsyncFunctionHandler
{
    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken cancellation)
    {
        var log = new List<string>();
        using var client = new HttpClient(new Recorder(log)) { BaseAddress = new Uri("https://example.org/base/"), Timeout = TimeSpan.FromSeconds(5) };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "token");
        client.DefaultRequestHeaders.UserAgent.ParseAdd("tests/1.0 (of programs)");
        client.DefaultRequestHeaders.AcceptLanguage.Add(new StringWithQualityHeaderValue("de", 0.5));
        log.Add(await client.GetStringAsync("relative?q=1", cancellation));
        using var form = new FormUrlEncodedContent(new Dictionary<string, string> { ["a b"] = "c&d", ["ü"] = Encoding.UTF8.GetString(input.Span) });
        using (var response = await client.PostAsync("/form", form, cancellation))
        {
            log.Add($"{(int)response.StatusCode} {response.ReasonPhrase} {response.IsSuccessStatusCode} {response.Headers.ETag} {string.Join('+', response.Headers.GetValues("X-Many"))}");
            log.Add($"{response.Content.Headers.ContentType!.CharSet} {await response.Content.ReadAsStringAsync(cancellation)}");
            try
            {
                response.EnsureSuccessStatusCode();
            }
            catch (HttpRequestException e)
            {
                log.Add($"{e.StatusCode} {e.Message}");
            }
        }

        using var parts = new MultipartFormDataContent("frontier") { { new StringContent("text"), "field" } };
        parts.Add(new StreamContent(new MemoryStream(input.ToArray())), "file", "name.bin");
        using var request = new HttpRequestMessage(HttpMethod.Put, "https://other.example:8443/put#fragment") { Content = parts };
        request.Headers.Range = new RangeHeaderValue(1, 99);
        request.Headers.IfModifiedSince = new DateTimeOffset(2026, 11, 22, 1, 2, 3, TimeSpan.Zero);
        request.Headers.CacheControl = new CacheControlHeaderValue { NoCache = true, MaxAge = TimeSpan.FromMinutes(2) };
        using (var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation))
        {
            log.Add($"{response.Content.Headers.ContentLength} {response.RequestMessage!.RequestUri!.Port}");
        }

        foreach (var address in (string[])["/lost", "ftp://x/", "http://[::1"])
        {
            try
            {
                log.Add(await client.GetStringAsync(address, cancellation));
            }
            catch (Exception e)
            {
                log.Add($"{e.GetType().Name} {e.Message}");
            }
        }

        var uri = new UriBuilder("https", "host", 99, "path/ü", "?x=1 2").Uri;
        log.Add($"{uri} {uri.AbsoluteUri} {uri.Segments.Length} {Uri.EscapeDataString("a/b ü")} {new Uri(uri, "../up?z").PathAndQuery} {uri.IsBaseOf(new Uri("https://host:99/path/x"))}");
        log.Add($"{MediaTypeHeaderValue.TryParse("nonsense", out _)} {ContentDispositionHeaderValue.Parse("attachment; filename=\"a b\"").FileName}");
        return Encoding.UTF8.GetBytes(string.Join("\n", log));
    }
}
