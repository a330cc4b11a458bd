using System;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;

namespace MinimalRuntime;

/// <summary>
/// Host functions that are called with a value and return one, as JSON. An assembly of its own, so
/// that functions without JSON do without <c>System.Text.Json</c>.
/// </summary>
public static class HostJson
{
    // Names as the host's side writes them: camelCase, and read in any case.
    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web);

    /// <summary>Call a host function; see <see cref="Host.Call"/>.</summary>
    /// <typeparam name="TArgument">Type of the argument.</typeparam>
    /// <typeparam name="TResult">Type of the result.</typeparam>
    /// <param name="function">The name the host gave it.</param>
    /// <param name="argument">Its argument.</param>
    /// <returns>Its result.</returns>
    public static TResult? Call<TArgument, TResult>(string function, TArgument argument) =>
        Read<TResult>(Host.Call(function, JsonSerializer.SerializeToUtf8Bytes(argument, Options)));

    /// <summary>Call a host function; see <see cref="Host.CallAsync"/>.</summary>
    /// <typeparam name="TArgument">Type of the argument.</typeparam>
    /// <typeparam name="TResult">Type of the result.</typeparam>
    /// <param name="function">The name the host gave it.</param>
    /// <param name="argument">Its argument.</param>
    /// <param name="cancellation">As for <see cref="Host.CallAsync"/>.</param>
    /// <returns>Its result.</returns>
    public static async Task<TResult?> CallAsync<TArgument, TResult>(
        string function, TArgument argument, CancellationToken cancellation = default) =>
        Read<TResult>(await Host.CallAsync(
            function, JsonSerializer.SerializeToUtf8Bytes(argument, Options), cancellation));

    private static TResult? Read<TResult>(byte[] json) => json.Length == 0
        ? default : JsonSerializer.Deserialize<TResult>(json, Options);
}
