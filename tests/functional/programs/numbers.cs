using System;
using System.Globalization;
using System.Linq;
using System.Numerics;
using System.Text.Json;

namespace Programs;

public sealed class Decimals : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var a = decimal.Parse(question.GetProperty("a").GetString()!, CultureInfo.InvariantCulture);
        var b = decimal.Parse(question.GetProperty("b").GetString()!, CultureInfo.InvariantCulture);
        var digits = question.GetProperty("digits").GetInt32();
        return new
        {
            Sum = (a + b).ToString(CultureInfo.InvariantCulture),
            Difference = (a - b).ToString(CultureInfo.InvariantCulture),
            Product = (a * b).ToString(CultureInfo.InvariantCulture),
            Quotient = b == 0 ? null : (a / b).ToString(CultureInfo.InvariantCulture),
            Remainder = b == 0 ? null : (a % b).ToString(CultureInfo.InvariantCulture),
            HalfEven = Math.Round(a, digits).ToString(CultureInfo.InvariantCulture),
            HalfUp = Math.Round(a, digits, MidpointRounding.AwayFromZero).ToString(CultureInfo.InvariantCulture),
            Floor = decimal.Floor(a).ToString(CultureInfo.InvariantCulture),
            Compared = a.CompareTo(b),
            Bits = decimal.GetBits(a),
        };
    }
}

public sealed class BigIntegers : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var a = BigInteger.Parse(question.GetProperty("a").GetString()!, CultureInfo.InvariantCulture);
        var b = BigInteger.Parse(question.GetProperty("b").GetString()!, CultureInfo.InvariantCulture);
        var shift = question.GetProperty("shift").GetInt32();
        return new
        {
            Sum = (a + b).ToString(),
            Product = (a * b).ToString(),
            Quotient = b.IsZero ? null : (a / b).ToString(),
            Remainder = b.IsZero ? null : (a % b).ToString(),
            Gcd = BigInteger.GreatestCommonDivisor(a, b).ToString(),
            Power = b.IsZero ? null : BigInteger.ModPow(BigInteger.Abs(a), 65537, BigInteger.Abs(b)).ToString(),
            Left = (a << shift).ToString(),
            Right = (a >> shift).ToString(),
            And = (a & b).ToString(),
            Xor = (a ^ b).ToString(),
            Bytes = Convert.ToHexString(a.ToByteArray()),
            Compared = a.CompareTo(b),
        };
    }
}

/// <summary>Integers of every width, which wrap around.</summary>
public sealed class FixedWidth : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var a = BigInteger.Parse(question.GetProperty("a").GetString()!, CultureInfo.InvariantCulture);
        var b = BigInteger.Parse(question.GetProperty("b").GetString()!, CultureInfo.InvariantCulture);
        return new
        {
            SByte = Wrap<sbyte>(a, b),
            Byte = Wrap<byte>(a, b),
            Int16 = Wrap<short>(a, b),
            UInt16 = Wrap<ushort>(a, b),
            Int32 = Wrap<int>(a, b),
            UInt32 = Wrap<uint>(a, b),
            Int64 = Wrap<long>(a, b),
            UInt64 = Wrap<ulong>(a, b),
            Int128 = Wrap<Int128>(a, b),
            UInt128 = Wrap<UInt128>(a, b),
        };
    }

    private static string[] Wrap<T>(BigInteger a, BigInteger b)
        where T : struct, IBinaryInteger<T>
    {
        unchecked
        {
            T x = T.CreateTruncating(a), y = T.CreateTruncating(b);
            return [.. new[] { x + y, x - y, x * y, x ^ y, ~x, T.PopCount(x) }.Select(v => v.ToString(null, CultureInfo.InvariantCulture))];
        }
    }
}

/// <summary>Bit patterns of floating point numbers of every width.</summary>
public sealed class Floats : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var x = BitConverter.Int64BitsToDouble(question.GetInt64());
        return new
        {
            Text = x.ToString("R", CultureInfo.InvariantCulture),
            Parsed = BitConverter.DoubleToInt64Bits(double.Parse(x.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture)),
            Single = BitConverter.SingleToInt32Bits((float)x),
            Half = BitConverter.HalfToInt16Bits((Half)x),
            Sqrt = BitConverter.DoubleToInt64Bits(Math.Sqrt(x)),
            Next = BitConverter.DoubleToInt64Bits(Math.BitIncrement(x)),
            Floor = BitConverter.DoubleToInt64Bits(Math.Floor(x)),
            IsNaN = double.IsNaN(x),
            Fused = BitConverter.DoubleToInt64Bits(Math.FusedMultiplyAdd(x, 3.0, 1.0)),
            Remainder = BitConverter.DoubleToInt64Bits(x % 7.25),
        };
    }
}

public sealed class Dates : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var start = DateTime.ParseExact(
            question.GetProperty("start").GetString()!, "yyyy-MM-dd'T'HH:mm:ss.ffffff", CultureInfo.InvariantCulture,
            DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal);
        var span = TimeSpan.FromMicroseconds(question.GetProperty("microseconds").GetInt64());
        var end = start + span;
        var offset = new DateTimeOffset(start).ToOffset(TimeSpan.FromMinutes(question.GetProperty("offset").GetInt32()));
        return new
        {
            End = end.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff", CultureInfo.InvariantCulture),
            RoundTrip = end.ToString("O"),
            DayOfWeek = (int)end.DayOfWeek,
            end.DayOfYear,
            IsoWeek = ISOWeek.GetWeekOfYear(end),
            IsoYear = ISOWeek.GetYear(end),
            Leap = DateTime.IsLeapYear(end.Year),
            DaysInMonth = DateTime.DaysInMonth(end.Year, end.Month),
            Days = (end.Date - start.Date).Days,
            UnixMilliseconds = new DateTimeOffset(end).ToUnixTimeMilliseconds(),
            Offset = offset.ToString("yyyy-MM-dd'T'HH:mm:sszzz", CultureInfo.InvariantCulture),
            Rfc1123 = end.ToString("R", CultureInfo.InvariantCulture),
            Span = span.ToString("c", CultureInfo.InvariantCulture),
            Total = span.TotalSeconds,
            DateOnly = DateOnly.FromDateTime(end).ToString("o"),
            TimeOnly = TimeOnly.FromDateTime(end).Hour,
            Zone = TimeZoneInfo.Local.BaseUtcOffset.Ticks,
        };
    }
}

/// <summary>Composite formatting of a number, in the invariant culture.</summary>
public sealed class Formatting : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var format = question.GetProperty("format").GetString()!;
        var value = question.GetProperty("value");
        return value.TryGetInt64(out var integer) ? string.Format(format, integer) : string.Format(format, value.GetDouble());
    }
}

public sealed class Culture : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        string german;
        try
        {
            german = new CultureInfo("de-DE").NumberFormat.NumberDecimalSeparator;
        }
        catch (CultureNotFoundException)
        {
            german = "not found";
        }

        var text = question.GetString()!;
        return new
        {
            Current = CultureInfo.CurrentCulture.Name,
            German = german,
            Upper = text.ToUpperInvariant(),
            Lower = text.ToLowerInvariant(),
            Number = $"{1234567.891:N2}",
            Date = $"{new DateTime(2026, 1, 2):D}",
            IgnoreCase = string.Equals("ÄÖÜ", "äöü", StringComparison.OrdinalIgnoreCase),
            Sorted = new[] { "b", "A", "a", "B" }.Order(StringComparer.InvariantCulture).ToArray(),
        };
    }
}
