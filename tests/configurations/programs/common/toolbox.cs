using System;
using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Collections.ObjectModel;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Threading;

namespace Toolbox;

/// <summary>What most programs use some of.</summary>
public sealed class Program : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var lines = new List<string>();
        var data = input.ToArray();
        var text = Encoding.UTF8.GetString(data);
        foreach (var part in (Func<byte[], string, string>[])[Patterns, Hashes, Packed, Numbers, Collections, Files, Dates, Encodings, Vectors, Serialized])
        {
            lines.Add(part(data, text));
        }

        return Encoding.UTF8.GetBytes(string.Join("\n", lines));
    }

    private static string Patterns(byte[] data, string text)
    {
        var words = new Regex(@"(?<first>\p{L})(\w*)", RegexOptions.Compiled);
        var swapped = words.Replace(text, "${1}${first}");
        var lazy = Regex.Matches(text, "a.*?d", RegexOptions.NonBacktracking).Count;
        return $"{swapped} {lazy} {string.Join('|', Regex.Split(text, @"\s+(?=b|c)"))} {Regex.Escape("a.b[c]")}";
    }

    private static string Hashes(byte[] data, string text)
    {
        byte[] salt = [1, 2, 3, 4, 5, 6, 7, 8];
        var derived = Rfc2898DeriveBytes.Pbkdf2(text, salt, 10, HashAlgorithmName.SHA256, 16);
        using var running = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
        running.AppendData(data);
        return $"{Convert.ToHexString(HMACSHA512.HashData(derived, data))} {Convert.ToHexString(running.GetHashAndReset())} {CryptographicOperations.FixedTimeEquals(data, data)} {RandomNumberGenerator.GetBytes(9).Length}";
    }

    private static string Packed(byte[] data, string text)
    {
        using var stream = new MemoryStream();
        using (var archive = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            using var entry = new StreamWriter(archive.CreateEntry("a/b.txt").Open());
            entry.Write(string.Concat(Enumerable.Repeat(text, 50)));
        }

        using var read = new ZipArchive(stream, ZipArchiveMode.Read);
        using var reader = new StreamReader(read.Entries[0].Open());
        return $"{read.Entries[0].FullName} {reader.ReadToEnd().Length}";
    }

    private static string Numbers(byte[] data, string text)
    {
        var big = new BigInteger(data, isUnsigned: true);
        var high = Math.BigMul(ulong.MaxValue, 3, out var low);
        return $"{BigInteger.ModPow(big, 65537, BigInteger.Pow(2, 89) - 1)} {big.GetBitLength()} {new Complex(1, data.Length).Magnitude:F6} {Int128.MaxValue} {(Half)1.1} {high} {low} {BitOperations.PopCount((uint)data.Length)} {decimal.Parse("1,234.5", NumberStyles.Number, CultureInfo.InvariantCulture)} {double.Hypot(3, 4)}";
    }

    private static string Collections(byte[] data, string text)
    {
        var queue = new PriorityQueue<byte, int>(data.Select((b, i) => (b, (-b * 1000) + i)));
        var immutable = ImmutableSortedSet.CreateRange(data).Remove((byte)' ');
        var frozen = data.Distinct().ToFrozenDictionary(b => b, b => b * 2);
        var bag = new ConcurrentDictionary<int, int>();
        Array.ForEach(data, b => bag.AddOrUpdate(b % 5, 1, (_, n) => n + 1));
        var observed = new ObservableCollection<int>();
        var changes = 0;
        observed.CollectionChanged += (_, e) => changes += e.NewItems!.Count;
        observed.Add(1);
        var linked = new LinkedList<int>([1, 2, 3]);
        linked.AddAfter(linked.First!, 9);
        var sorted = new SortedDictionary<string, int>(StringComparer.Ordinal) { ["b"] = 1, ["a"] = 2 };
        return $"{(queue.TryDequeue(out var top, out _) ? top : 0)} {string.Join(',', immutable)} {frozen.Count} {string.Join(';', bag.OrderBy(p => p.Key))} {changes} {string.Join(',', linked)} {sorted.First()} {new System.Collections.BitArray(data).Count}";
    }

    private static string Files(byte[] data, string text)
    {
        var folder = Directory.CreateDirectory("/tmp/toolbox" + data.Length);
        var file = Path.Combine(folder.FullName, "file.txt");
        File.WriteAllText(file, text);
        File.AppendAllLines(file, ["more", "lines"]);
        using (var stream = new BinaryWriter(File.OpenWrite(file + ".bin")))
        {
            stream.Write(3.5);
            stream.Write("text");
        }

        var found = Directory.EnumerateFiles(folder.FullName, "*", SearchOption.AllDirectories).Select(Path.GetFileName).Order(StringComparer.Ordinal).ToArray();
        var length = File.ReadLines(file).Count();
        Directory.Delete(folder.FullName, recursive: true);
        return $"{string.Join(',', found)} {length} {File.Exists(file)} {Path.ChangeExtension(file, ".md")} {Path.GetRelativePath("/a/b", "/a/c/d")}";
    }

    private static string Dates(byte[] data, string text)
    {
        var time = new DateTimeOffset(2026, 11, 22, 1, 2, 3, TimeSpan.FromHours(2)).AddDays(data.Length);
        var zone = TimeZoneInfo.FindSystemTimeZoneById("America/New_York");
        return string.Create(CultureInfo.InvariantCulture, $"{time:O} {TimeZoneInfo.ConvertTime(time, zone):u} {time:dddd, d MMMM yyyy} {ISOWeek.GetWeekOfYear(time.DateTime)} {DateOnly.Parse("2026-02-28", CultureInfo.InvariantCulture).AddDays(1)} {TimeSpan.ParseExact("1:02:03", "c", CultureInfo.InvariantCulture)} {new GregorianCalendar().GetDayOfYear(time.DateTime)}");
    }

    private static string Encodings(byte[] data, string text) =>
        $"{Convert.ToHexString(Encoding.Unicode.GetBytes(text))} {Encoding.Latin1.GetString(data).Length} {Encoding.UTF32.GetByteCount(text)} {System.Net.WebUtility.HtmlEncode("<" + text)} {string.Join(' ', text.EnumerateRunes().Take(9).Select(r => r.Value))} {text.ToUpperInvariant()} {new StringReader(text).Read()} {CultureInfo.InvariantCulture.CompareInfo.IndexOf(text, "AN", CompareOptions.OrdinalIgnoreCase)}";

    private static string Vectors(byte[] data, string text)
    {
        var matrix = Matrix4x4.CreateRotationY(0.5f) * Matrix4x4.CreateScale(2);
        var turned = Vector3.Transform(new Vector3(1, 2, 3), matrix);
        var sum = Vector<byte>.Zero;
        foreach (var vector in MemoryMarshal.Cast<byte, Vector<byte>>(data))
        {
            sum += vector;
        }

        return $"{turned:F4} {Vector.Sum(sum)} {BinaryPrimitives.ReverseEndianness(data.Length)} {Vector3.Cross(Vector3.UnitX, Vector3.UnitY)} {Quaternion.Identity}";
    }

    private static string Serialized(byte[] data, string text)
    {
        var options = new JsonSerializerOptions { IncludeFields = true };
        var node = JsonSerializer.SerializeToNode(new { data.Length, Text = text, Set = data.Distinct().Order().ToImmutableArray(), Pairs = new Dictionary<string, (int, int)> { ["x"] = (1, 2) } }, options)!;
        var activity = new Activity("work").SetTag("k", "v").Start();
        activity.Stop();
        var local = new ThreadLocal<int>(() => data.Length);
        Trace.TraceInformation("traced");
        return $"{node.ToJsonString()} {activity.OperationName} {activity.GetTagItem("k")} {local.Value} {Environment.GetEnvironmentVariable("NOTHING") ?? "none"}";
    }
}
