using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Programs;

public sealed class Hashes : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var data = question.GetProperty("data").GetBytesFromBase64();
        var key = question.GetProperty("key").GetBytesFromBase64();
        using var incremental = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var piece in data.Chunk(7))
        {
            incremental.AppendData(piece);
        }

        return new Dictionary<string, string>
        {
            ["sha1"] = Convert.ToHexString(SHA1.HashData(data)),
            ["sha256"] = Convert.ToHexString(SHA256.HashData(data)),
            ["sha384"] = Convert.ToHexString(SHA384.HashData(data)),
            ["sha512"] = Convert.ToHexString(SHA512.HashData(data)),
            ["hmac-sha256"] = Convert.ToHexString(HMACSHA256.HashData(key, data)),
            ["hmac-sha512"] = Convert.ToHexString(HMACSHA512.HashData(key, data)),
            ["incremental"] = Convert.ToHexString(incremental.GetHashAndReset()),
            ["stream"] = Convert.ToHexString(SHA256.HashData(new MemoryStream(data))),
            ["pbkdf2"] = Convert.ToHexString(Rfc2898DeriveBytes.Pbkdf2(key, data, 10, HashAlgorithmName.SHA256, 40)),
            ["fixed-time"] = CryptographicOperations.FixedTimeEquals(data, data.ToArray()).ToString(),
        };
    }
}

/// <summary>What the browser build of .NET leaves out.</summary>
public sealed class Unsupported : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        using IDisposable algorithm = Encoding.ASCII.GetString(input) switch
        {
            "md5" => MD5.Create(),
            "aes" => Aes.Create(),
            "rsa" => RSA.Create(),
            "ecdsa" => ECDsa.Create(),
            var other => throw new ArgumentException(other),
        };
        return Encoding.ASCII.GetBytes(algorithm.GetType().Name);
    }
}

/// <summary>Everything that is random, after a seed where it takes one.</summary>
public sealed class Randomness : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var seeded = new Random(question.GetInt32());
        var again = new Random(question.GetInt32());
        return new
        {
            Seeded = Enumerable.Range(0, 20).Select(_ => seeded.Next()).ToArray(),
            Again = Enumerable.Range(0, 20).Select(_ => again.Next()).ToArray(),
            Guids = Enumerable.Range(0, 50).Select(_ => Guid.NewGuid().ToString()).ToArray(),
            Timed = Guid.CreateVersion7().ToString(),
            Bytes = Convert.ToHexString(RandomNumberGenerator.GetBytes(32)),
            Dice = Enumerable.Range(0, 200).Select(_ => RandomNumberGenerator.GetInt32(1, 7)).ToArray(),
            Shared = Enumerable.Range(0, 50).Select(_ => Random.Shared.NextDouble()).ToArray(),
            Hash = new HashCode().ToHashCode(),
            StringHash = "text".GetHashCode(),
        };
    }
}

/// <summary>A GUID in every form .NET writes.</summary>
public sealed class Guids : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var guid = Guid.Parse(question.GetString()!);
        return new
        {
            Formats = new[] { "N", "D", "B", "P" }.Select(f => guid.ToString(f)).ToArray(),
            Bytes = Convert.ToHexString(guid.ToByteArray()),
            BigEndian = Convert.ToHexString(guid.ToByteArray(bigEndian: true)),
            guid.Version,
        };
    }
}
