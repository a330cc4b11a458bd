using System;

namespace MinimalRuntime.Columns;

/// <summary>
/// Times of columns: microseconds since 1970, or nanoseconds where the column's flags say so. What
/// .NET has more exactly is cut.
/// </summary>
public static class Times
{
    private const int Nanoseconds = 4;
    private const int IsAware = 8;
    private const long EpochTicks = 621355968000000000;
    private const int EpochDay = 719162;

    /// <summary>A moment; of UTC if the column has a time zone.</summary>
    public static DateTime DateTime(long value, int flags) => new(
        checked(EpochTicks + Ticks(value, flags)),
        (flags & IsAware) != 0 ? DateTimeKind.Utc : DateTimeKind.Unspecified);

    /// <summary>A moment of UTC.</summary>
    public static DateTimeOffset DateTimeOffset(long value, int flags) =>
        new(checked(EpochTicks + Ticks(value, flags)), System.TimeSpan.Zero);

    /// <summary>A day, by its number since 1970.</summary>
    public static DateOnly DateOnly(int value) =>
        System.DateOnly.FromDayNumber(checked(value + EpochDay));

    /// <summary>Microseconds since midnight.</summary>
    public static TimeOnly TimeOnly(long value) => new(checked(value * 10));

    /// <summary>A duration.</summary>
    public static TimeSpan TimeSpan(long value, int flags) => new(Ticks(value, flags));

    /// <summary>See <see cref="DateTime(long, int)"/>. Local time becomes UTC.</summary>
    public static long FromDateTime(DateTime value) => Micros(
        (value.Kind == DateTimeKind.Local ? value.ToUniversalTime() : value).Ticks - EpochTicks);

    /// <summary>See <see cref="DateTimeOffset(long, int)"/>.</summary>
    public static long FromDateTimeOffset(DateTimeOffset value) =>
        Micros(value.UtcTicks - EpochTicks);

    /// <summary>See <see cref="DateOnly(int)"/>.</summary>
    public static int FromDateOnly(DateOnly value) => value.DayNumber - EpochDay;

    /// <summary>See <see cref="TimeOnly(long)"/>.</summary>
    public static long FromTimeOnly(TimeOnly value) => value.Ticks / 10;

    /// <summary>See <see cref="TimeSpan(long, int)"/>.</summary>
    public static long FromTimeSpan(TimeSpan value) => Micros(value.Ticks);

    private static long Ticks(long value, int flags) =>
        (flags & Nanoseconds) == 0 ? checked(value * 10) : Floor(value, 100);

    private static long Micros(long ticks) => Floor(ticks, 10);

    private static long Floor(long value, long by) =>
        value % by < 0 ? (value / by) - 1 : value / by;
}
