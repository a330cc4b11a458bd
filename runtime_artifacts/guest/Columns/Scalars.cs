using System;
using System.Globalization;

namespace MinimalRuntime.Columns;

/// <summary>Values that columns have as text or bytes.</summary>
public static class Scalars
{
    private const int MostDigitsBehindThePoint = 28;

    /// <summary>Numbers of no more characters fit into 63 bits.</summary>
    private const int FewCharacters = 18;

    /// <summary>A character; text of any other length is an error.</summary>
    public static char Char(string text) => text.Length == 1 ? text[0] : throw new FormatException(
        $"expected one character below U+10000 for char, found {text.Length} UTF-16 units; take a string");

    /// <summary>The text of a character.</summary>
    public static string FromChar(char value) => value.ToString();

    /// <summary>A number, with the zeros at its end, and with all of its digits or not at all.</summary>
    public static decimal Decimal(string text)
    {
        if (text.Length > FewCharacters)
        {
            return Long(text);
        }

        // Arithmetic of 128 bits takes ten times as long.
        var digits = 0L;
        var scale = 0;
        var behind = 0;
        foreach (var character in text)
        {
            if (character is >= '0' and <= '9')
            {
                digits = (digits * 10) + (character - '0');
                scale += behind;
            }
            else if (character == '.')
            {
                behind = 1;
            }
            else if (character is not ('-' or '+'))
            {
                return Long(text);
            }
        }

        return new decimal((int)digits, (int)(digits >> 32), 0, text[0] == '-', (byte)scale);
    }

    /// <summary>The text of a number.</summary>
    public static string FromDecimal(decimal value) => value.ToString(CultureInfo.InvariantCulture);

    /// <summary>An identifier of its 16 bytes in the order of RFC 9562.</summary>
    public static Guid Guid(byte[] bytes) => new(bytes, bigEndian: true);

    /// <summary>The bytes of an identifier.</summary>
    public static byte[] FromGuid(Guid value) => value.ToByteArray(bigEndian: true);

    private static decimal Long(string text)
    {
        var digits = UInt128.Zero;
        var scale = 0;
        var isBehind = false;
        var at = text[0] is '-' or '+' ? 1 : 0;
        for (; at < text.Length && text[at] is not ('e' or 'E'); at++)
        {
            if (text[at] == '.')
            {
                isBehind = true;
                continue;
            }

            digits = checked((digits * 10) + (uint)(text[at] - '0'));
            scale += isBehind ? 1 : 0;
        }

        if (at < text.Length)
        {
            scale -= int.Parse(text.AsSpan(at + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        }

        for (; scale < 0 && digits != 0; scale++)
        {
            digits = checked(digits * 10);
        }

        scale = Math.Max(scale, 0);
        while (scale > 0 && (scale > MostDigitsBehindThePoint || digits >> 96 != 0) && digits % 10 == 0)
        {
            digits /= 10;
            scale--;
            if (digits == 0)
            {
                scale = Math.Min(scale, MostDigitsBehindThePoint);
            }
        }

        if (scale > MostDigitsBehindThePoint || digits >> 96 != 0)
        {
            throw new OverflowException($"decimal cannot hold {text}: it has more digits than 28");
        }

        return new decimal(
            (int)(uint)(ulong)(digits & uint.MaxValue),
            (int)(uint)(ulong)((digits >> 32) & uint.MaxValue),
            (int)(uint)(ulong)(digits >> 64),
            text[0] == '-',
            (byte)scale);
    }
}
