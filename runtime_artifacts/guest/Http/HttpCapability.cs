using System;
using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;

namespace MinimalRuntime.Http;

/// <summary>HTTP for functions that ask for the capability <c>http</c>.</summary>
/// <remarks>
/// One client for all functions that use the capability. What it may reach is the host's to say; what
/// the host refuses, and what fails, is an <see cref="HttpRequestException"/>.
/// </remarks>
public static class HttpCapability
{
    private static readonly HttpClient Client = new();

    /// <summary>The body that a GET of <paramref name="url"/> gives.</summary>
    /// <exception cref="HttpRequestException">
    /// The host refuses it, there is no answer, or its status is no success.
    /// </exception>
    public static Task<byte[]> GetAsync(string url) => GetAsync(url, CancellationToken.None);

    /// <inheritdoc cref="GetAsync(string)"/>
    public static Task<byte[]> GetAsync(string url, CancellationToken cancellationToken) =>
        Client.GetByteArrayAsync(url, cancellationToken);

    /// <summary>The body that comes back for a POST of <paramref name="content"/>, whatever its status.</summary>
    /// <exception cref="HttpRequestException">The host refuses it, or there is no answer.</exception>
    public static Task<byte[]> PostAsync(string url, byte[] content) =>
        PostAsync(url, content, CancellationToken.None);

    /// <inheritdoc cref="PostAsync(string, byte[])"/>
    public static async Task<byte[]> PostAsync(
        string url, byte[] content, CancellationToken cancellationToken)
    {
        using var body = new ByteArrayContent(content);
        using var response = await Client.PostAsync(url, body, cancellationToken).ConfigureAwait(false);
        return await response.Content.ReadAsByteArrayAsync(cancellationToken).ConfigureAwait(false);
    }
}
