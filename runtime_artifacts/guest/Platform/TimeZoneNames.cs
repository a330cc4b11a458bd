using System;
using System.Collections.Generic;
using System.Text;

namespace MinimalRuntime.Platform;

/// <summary>
/// Names that Windows has for time zones, from Unicode CLDR. Methods have the names and signatures of
/// those of <c>TimeZoneInfo</c> that are redirected here.
/// </summary>
internal static class TimeZoneNames
{
    private const string Utc = "UTC";
    private const string World = "001";
    private static readonly Dictionary<string, Dictionary<string, string>> ByWindows =
        new(StringComparer.OrdinalIgnoreCase);

    private static readonly Dictionary<string, string> ByIana = new(StringComparer.OrdinalIgnoreCase);

    // A line for each name of Windows: it, then territory and IANA names by turns; and a line that
    // starts with a bar for each IANA name that has others: it, and these.
    static TimeZoneNames()
    {
        foreach (var line in Encoding.UTF8.GetString(TimeZoneData.Lines).Split('\n'))
        {
            var items = line.Split('|');
            if (items[0].Length == 0)
            {
                Alias(items);
                continue;
            }

            var places = ByWindows[items[0]] = new(StringComparer.OrdinalIgnoreCase);
            for (var index = 1; index + 1 < items.Length; index += 2)
            {
                var zones = items[index + 1].Split(' ');
                places[items[index]] = zones[0];
                foreach (var zone in zones)
                {
                    ByIana.TryAdd(zone, items[0]);
                }
            }
        }
    }

    public static bool TryConvertIanaIdToWindowsId(string ianaId, bool allocate, out string? windowsId) =>
        ByIana.TryGetValue(ianaId, out windowsId);

    public static bool TryConvertWindowsIdToIanaId(
        string windowsId, string? region, bool allocate, out string? ianaId)
    {
        ianaId = null;
        return ByWindows.TryGetValue(windowsId, out var places)
            && ((region is not null && places.TryGetValue(region, out ianaId))
                || places.TryGetValue(World, out ianaId));
    }

    /// <summary>The same time zone under the name of the other kind; null if there is none.</summary>
    public static string? GetAlternativeId(string id, out bool idIsIana)
    {
        // UTC is a name of both kinds.
        idIsIana = id.Equals(Utc, StringComparison.OrdinalIgnoreCase);
        if (TryConvertWindowsIdToIanaId(id, null, true, out var other))
        {
            return other;
        }

        idIsIana = ByIana.TryGetValue(id, out other);
        return other;
    }

    private static void Alias(string[] items)
    {
        foreach (var item in items.AsSpan(1))
        {
            if (ByIana.TryGetValue(item, out var windows))
            {
                foreach (var other in items.AsSpan(1))
                {
                    ByIana.TryAdd(other, windows);
                }

                return;
            }
        }
    }
}
