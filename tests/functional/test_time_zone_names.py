"""Names that Windows has for time zones."""

from __future__ import annotations

import dotnet_wasm_host as dwh

#: From the table of Unicode CLDR: Windows, the world, and a territory that has another.
KNOWN = (
    ("Eastern Standard Time", "America/New_York", "CA", "America/Toronto"),
    ("W. Europe Standard Time", "Europe/Berlin", "IT", "Europe/Rome"),
    ("Tokyo Standard Time", "Asia/Tokyo", "ID", "Asia/Jayapura"),
    ("India Standard Time", "Asia/Calcutta", "IN", "Asia/Calcutta"),
    ("UTC", "Etc/UTC", "XX", "Etc/UTC"),
)


def test_zones_are_found_by_either_name() -> None:
    done = dwh.run_csharp(
        """
        var summer = new DateTime(2024, 7, 1, 12, 0, 0, DateTimeKind.Utc);
        foreach (var id in args) {
            var zone = TimeZoneInfo.FindSystemTimeZoneById(id);
            Console.WriteLine($"{zone.Id}|{zone.HasIanaId}|{zone.GetUtcOffset(summer).TotalHours}");
        }
        var there = TimeZoneInfo.ConvertTimeBySystemTimeZoneId(summer, "Pacific Standard Time");
        Console.WriteLine(there.Hour);
        Console.WriteLine(TimeZoneInfo.TryFindSystemTimeZoneById("Mars Standard Time", out _));
    """,
        ["Eastern Standard Time", "eastern standard time", "America/New_York", "UTC"],
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "Eastern Standard Time|False|-4", "Eastern Standard Time|False|-4",
        "America/New_York|True|-4", "UTC|True|0", "5", "False",
    ]  # fmt: skip


def test_names_are_converted() -> None:
    done = dwh.run_csharp(
        """
        foreach (var line in Console.In.ReadToEnd().Split('\\n')) {
            var (name, region) = (line.Split('|')[0], line.Split('|')[1]);
            TimeZoneInfo.TryConvertWindowsIdToIanaId(name, out var world);
            TimeZoneInfo.TryConvertWindowsIdToIanaId(name, region, out var there);
            TimeZoneInfo.TryConvertIanaIdToWindowsId(there!, out var back);
            Console.WriteLine($"{world}|{there}|{back}");
        }
        foreach (var id in new[] { "Asia/Kolkata", "US/Eastern", "europe/rome", "Nowhere/Land" })
            Console.WriteLine($"{TimeZoneInfo.TryConvertIanaIdToWindowsId(id, out var n)} {n}");
        Console.WriteLine(TimeZoneInfo.TryConvertWindowsIdToIanaId("Europe/Rome", out _));
    """,
        input="\n".join(f"{name}|{region}" for name, _, region, _ in KNOWN),
    )
    lines = done.stdout.splitlines()
    assert lines[:5] == [f"{world}|{there}|{name}" for name, world, _, there in KNOWN]
    assert lines[5:] == [
        "True India Standard Time", "True Eastern Standard Time",
        "True W. Europe Standard Time", "False ", "False",
    ]  # fmt: skip


def test_every_name_has_a_zone() -> None:
    done = dwh.run_csharp("""
        var missing = new List<string>();
        var found = new HashSet<string>();
        foreach (var zone in TimeZoneInfo.GetSystemTimeZones())
            if (TimeZoneInfo.TryConvertIanaIdToWindowsId(zone.Id, out var name)) found.Add(name);
        foreach (var name in found)
            if (!TimeZoneInfo.TryFindSystemTimeZoneById(name, out _)) missing.Add(name);
        Console.Write($"{found.Count > 120} {string.Join(',', missing)}");
    """)
    assert (done.stdout, done.stderr) == ("True ", "")
