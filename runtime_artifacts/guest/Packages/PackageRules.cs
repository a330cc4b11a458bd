using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using NuGet.Frameworks;
using NuGet.Versioning;

namespace MinimalRuntime.Packages;

/// <summary>
/// NuGet's rules as a hosted function. The first byte of a payload is the question, answers are a
/// 32-bit number or text in UTF-8, as <c>dotnet_wasm_host/nuget/rules.py</c> reads them.
/// </summary>
public sealed class PackageRules : IFunctionHandler
{
    private static readonly NuGetFramework Target = NuGetFramework.Parse("net10.0");

    // AssetTargetFallback of the .NET SDK, in its order.
    private static readonly NuGetFramework Fallback = new FallbackFramework(
        Target,
        [.. new[] { "net461", "net462", "net47", "net471", "net472", "net48", "net481" }.Select(NuGetFramework.Parse)]);

    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        using var request = new BinaryReader(new MemoryStream(input.ToArray()), Encoding.UTF8);
        return (Question)request.ReadByte() switch
        {
            Question.NearestFolder => Answer(Nearest(ReadList(request), NuGetFramework.ParseFolder)),
            Question.NearestGroup => Answer(Nearest(ReadList(request), NuGetFramework.Parse)),
            Question.BestMatch => Answer(BestMatch(Read(request), ReadList(request))),
            Question.Highest => Answer(Highest(ReadList(request))),
            Question.Satisfies => Answer(Satisfies(Read(request), Read(request)) ? 1 : 0),
            Question.BeginsBelow => Answer(BeginsBelow(Read(request), Read(request)) ? 1 : 0),
            Question.Versions => Answer(string.Join('\n', ReadList(request).Select(Version))),
            Question.Range => Answer(Range(Read(request))),
            var unknown => throw new InvalidOperationException($"Unknown question {unknown}."),
        };
    }

    private static int Nearest(string[] names, Func<string, NuGetFramework> parse)
    {
        var frameworks = names.Select(name => Framework(name, parse)).ToList();
        var reducer = new FrameworkReducer();
        var nearest = reducer.GetNearest(Target, frameworks) ?? reducer.GetNearest(Fallback, frameworks);
        return nearest is null ? -1 : frameworks.IndexOf(nearest);
    }

    private static NuGetFramework Framework(string name, Func<string, NuGetFramework> parse)
    {
        try
        {
            return name.Length == 0 ? NuGetFramework.AnyFramework : parse(name);
        }
        catch (Exception error) when (error is ArgumentException or FrameworkException)
        {
            return NuGetFramework.UnsupportedFramework;
        }
    }

    // Versions that are none are passed over: an old feed may have some.
    private static int BestMatch(string range, string[] versions)
    {
        var parsed = versions.Select(Parsed).ToList();
        var best = VersionRange.Parse(range).FindBestMatch(parsed.OfType<NuGetVersion>());
        return best is null ? -1 : parsed.IndexOf(best);
    }

    private static int Highest(string[] versions)
    {
        var parsed = versions.Select(Parsed).ToList();
        return parsed.Count == 0 ? -1 : parsed.IndexOf(parsed.Max());
    }

    private static bool Satisfies(string range, string version) =>
        VersionRange.Parse(range).Satisfies(NuGetVersion.Parse(version));

    /// <summary>Whether the range asks for no more than this version.</summary>
    private static bool BeginsBelow(string range, string version) =>
        VersionRange.Parse(range).MinVersion is not { } least || least <= NuGetVersion.Parse(version);

    private static string Version(string version) =>
        Parsed(version)?.ToNormalizedString().ToLowerInvariant() ?? "";

    private static string Range(string range) =>
        VersionRange.TryParse(range, allowFloating: true, out var parsed) ? parsed.ToNormalizedString() : "";

    private static NuGetVersion? Parsed(string version) =>
        NuGetVersion.TryParse(version, out var parsed) ? parsed : null;

    private static byte[] Answer(int number) => BitConverter.GetBytes(number);

    private static byte[] Answer(string text) => Encoding.UTF8.GetBytes(text);

    private static string Read(BinaryReader reader) =>
        Encoding.UTF8.GetString(reader.ReadBytes(reader.ReadInt32()));

    private static string[] ReadList(BinaryReader reader)
    {
        var list = new string[reader.ReadInt32()];
        for (var i = 0; i < list.Length; i++)
        {
            list[i] = Read(reader);
        }

        return list;
    }

    private enum Question : byte
    {
        NearestFolder = (byte)'F',
        NearestGroup = (byte)'G',
        BestMatch = (byte)'B',
        Highest = (byte)'H',
        Satisfies = (byte)'S',
        BeginsBelow = (byte)'L',
        Versions = (byte)'V',
        Range = (byte)'R',
    }
}
