using System;
using System.Collections.Generic;
using System.Text;

namespace MinimalRuntime.Platform;

/// <summary>
/// Unicode normalization (Unicode Standard Annex 15), which .NET leaves to ICU. The first four methods
/// have the names and signatures of <c>System.Globalization.Normalization</c>'s, which are redirected here.
/// </summary>
internal static class TextNormalization
{
    // Unicode Standard 3.12: Hangul syllables are computed.
    private const int SyllableBase = 0xAC00, LeadBase = 0x1100, VowelBase = 0x1161, TrailBase = 0x11A7;
    private const int LeadCount = 19, VowelCount = 21, TrailCount = 28;
    private const int SyllableCount = LeadCount * VowelCount * TrailCount;

    public static bool IsNormalized(ReadOnlySpan<char> source, NormalizationForm normalizationForm)
    {
        CheckForm(normalizationForm);
        return IsAlready(source, normalizationForm)
            || source.SequenceEqual(Apply(source, normalizationForm, nameof(source)));
    }

    public static string Normalize(string strInput, NormalizationForm normalizationForm)
    {
        CheckForm(normalizationForm);
        if (IsAlready(strInput, normalizationForm))
        {
            return strInput;
        }

        var result = Apply(strInput, normalizationForm, nameof(strInput));
        return result == strInput ? strInput : result;
    }

    public static bool TryNormalize(
        ReadOnlySpan<char> source, Span<char> destination, out int charsWritten, NormalizationForm normalizationForm)
    {
        CheckForm(normalizationForm);
        if (source.Overlaps(destination))
        {
            throw new InvalidOperationException(
                "This operation is invalid on overlapping buffers.");
        }

        ReadOnlySpan<char> result = IsAlready(source, normalizationForm)
            ? source
            : Apply(source, normalizationForm, nameof(source));
        var fits = result.TryCopyTo(destination);
        charsWritten = fits ? result.Length : 0;
        return fits;
    }

    public static int GetNormalizedLength(ReadOnlySpan<char> source, NormalizationForm normalizationForm)
    {
        CheckForm(normalizationForm);
        return IsAlready(source, normalizationForm)
            ? source.Length
            : Apply(source, normalizationForm, nameof(source)).Length;
    }

    private static void CheckForm(NormalizationForm form)
    {
        if (form is not (NormalizationForm.FormC or NormalizationForm.FormD
            or NormalizationForm.FormKC or NormalizationForm.FormKD))
        {
            throw new ArgumentException("Invalid normalization form.", "normalizationForm");
        }
    }

    // The first characters that a form changes, or that something can change with.
    private static bool IsAlready(ReadOnlySpan<char> text, NormalizationForm form)
    {
        var end = form switch
        {
            NormalizationForm.FormC => '\u0300',
            NormalizationForm.FormD => '\u00C0',
            _ => '\u00A0',
        };
        return text.IndexOfAnyExceptInRange('\0', (char)(end - 1)) < 0;
    }

    private static string Apply(ReadOnlySpan<char> text, NormalizationForm form, string argument)
    {
        var compatibility = form is NormalizationForm.FormKC or NormalizationForm.FormKD;
        var points = new List<int>(text.Length + (text.Length / 2));
        for (var index = 0; index < text.Length; index++)
        {
            int point = text[index];
            if (char.IsSurrogate((char)point))
            {
                if (index + 1 >= text.Length || !char.IsSurrogatePair((char)point, text[index + 1]))
                {
                    throw new ArgumentException(
                        "Invalid Unicode code point found in the input string.", argument);
                }

                point = char.ConvertToUtf32((char)point, text[++index]);
            }

            Decompose(point, compatibility, points);
        }

        Order(points);
        if (form is NormalizationForm.FormC or NormalizationForm.FormKC)
        {
            Compose(points);
        }

        return Text(points);
    }

    private static void Decompose(int point, bool compatibility, List<int> into)
    {
        var syllable = point - SyllableBase;
        if ((uint)syllable < SyllableCount)
        {
            into.Add(LeadBase + (syllable / (VowelCount * TrailCount)));
            into.Add(VowelBase + (syllable % (VowelCount * TrailCount) / TrailCount));
            if (syllable % TrailCount != 0)
            {
                into.Add(TrailBase + (syllable % TrailCount));
            }

            return;
        }

        var parts = NormalizationTables.Decomposition(point, compatibility);
        if (parts.IsEmpty)
        {
            into.Add(point);
            return;
        }

        foreach (var part in parts)
        {
            Decompose(part, compatibility, into);
        }
    }

    // Canonical ordering: runs of marks by class, those of one class as they were.
    private static void Order(List<int> points)
    {
        var keys = new List<long>();
        for (var start = 0; start < points.Count; start++)
        {
            var first = NormalizationTables.CombiningClass(points[start]);
            if (first == 0)
            {
                continue;
            }

            keys.Clear();
            var sorted = true;
            for (var index = start; index < points.Count; index++)
            {
                var combining = NormalizationTables.CombiningClass(points[index]);
                if (combining == 0)
                {
                    break;
                }

                // A code point has 21 bits; the place in the run lies between it and the class.
                keys.Add(((long)combining << 52) | ((long)(index - start) << 21) | (uint)points[index]);
                sorted &= keys.Count < 2 || keys[^2] >> 52 <= combining;
            }

            if (!sorted)
            {
                keys.Sort();
                for (var index = 0; index < keys.Count; index++)
                {
                    points[start + index] = (int)(keys[index] & 0x1FFFFF);
                }
            }

            start += keys.Count;
        }
    }

    private static void Compose(List<int> points)
    {
        var starter = -1;
        var last = -1;
        var written = 0;
        for (var index = 0; index < points.Count; index++)
        {
            var point = points[index];
            var combining = NormalizationTables.CombiningClass(point);
            if (starter >= 0 && last < combining)
            {
                var whole = Composed(points[starter], point);
                if (whole >= 0)
                {
                    points[starter] = whole;
                    continue;
                }
            }

            if (combining == 0)
            {
                starter = written;
                last = -1;
            }
            else
            {
                last = combining;
            }

            points[written++] = point;
        }

        points.RemoveRange(written, points.Count - written);
    }

    private static int Composed(int first, int second)
    {
        var lead = first - LeadBase;
        var vowel = second - VowelBase;
        if ((uint)lead < LeadCount && (uint)vowel < VowelCount)
        {
            return SyllableBase + (((lead * VowelCount) + vowel) * TrailCount);
        }

        var syllable = first - SyllableBase;
        var trail = second - TrailBase;
        if ((uint)syllable < SyllableCount && syllable % TrailCount == 0 && trail is > 0 and < TrailCount)
        {
            return first + trail;
        }

        return NormalizationTables.Composition(first, second);
    }

    private static string Text(List<int> points)
    {
        var text = new StringBuilder(points.Count);
        foreach (var point in points)
        {
            if (point < 0x10000)
            {
                text.Append((char)point);
            }
            else
            {
                text.Append((char)(0xD7C0 + (point >> 10))).Append((char)(0xDC00 + (point & 0x3FF)));
            }
        }

        return text.ToString();
    }
}
