// Equality as xunit 2 has it, and values as messages show them.
using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Runtime.InteropServices;

namespace Conformance
{
    /// <summary>Values by their own comparison; dictionaries, sets and sequences by what they hold.</summary>
    internal sealed class Equality<T> : IEqualityComparer<T>
    {
        public static readonly Equality<T> Default = new();

        public int GetHashCode(T value) => 0;

        public bool Equals(T x, T y)
        {
            if (x is null || y is null)
            {
                return x is null && y is null;
            }

            if (x is IEquatable<T> equatable)
            {
                return equatable.Equals(y);
            }

            if (Compare(x, y) is { } same)
            {
                return same;
            }

            if (x is IDictionary left && y is IDictionary right)
            {
                return left.Count == right.Count
                    && left.Keys.Cast<object>().All(key => right.Contains(key) && Deep(left[key], right[key]));
            }

            if (x is IEnumerable first && y is IEnumerable second)
            {
                return Sets(x, y) ?? (x is Array a && y is Array b ? Arrays(a, b) : Sequences(first, second));
            }

            if (x is IStructuralEquatable structural)
            {
                return structural.Equals(y, Untyped.Default);
            }

            var contract = Array.Find(
                x.GetType().GetInterfaces(),
                t => t.IsGenericType && t.GetGenericTypeDefinition() == typeof(IEquatable<>)
                    && t.GetGenericArguments()[0].IsInstanceOfType(y));
            return contract == null
                ? x.Equals(y)
                : (bool)contract.GetMethod(nameof(IEquatable<T>.Equals)).Invoke(x, new object[] { y });
        }

        private static bool? Compare(T x, T y)
        {
            try
            {
                return x switch
                {
                    IComparable<T> generic => generic.CompareTo(y) == 0,
                    IComparable comparable => comparable.CompareTo(y) == 0,
                    _ => null,
                };
            }
            catch (Exception)
            {
                return null; // it does not compare with such a value
            }
        }

        private static bool Deep(object x, object y) => Equality<object>.Default.Equals(x, y);

        private static bool? Sets(object x, object y)
        {
            static Type Contract(object o) => Array.Find(
                o.GetType().GetInterfaces(),
                t => t.IsGenericType && t.GetGenericTypeDefinition() == typeof(ISet<>));
            var contract = Contract(x);
            return contract == null || contract != Contract(y)
                ? null
                : (bool)contract.GetMethod(nameof(ISet<T>.SetEquals)).Invoke(x, new[] { y });
        }

        private static bool Arrays(Array x, Array y)
        {
            if (x.Rank != y.Rank)
            {
                return false;
            }

            for (var dimension = 0; dimension < x.Rank; dimension++)
            {
                if (x.GetLength(dimension) != y.GetLength(dimension)
                    || x.GetLowerBound(dimension) != y.GetLowerBound(dimension))
                {
                    return false;
                }
            }

            // Bytes of large arrays, one by one through Equality<object>, took minutes.
            var element = x.GetType().GetElementType();
            var areBits = !element.IsEnum && Type.GetTypeCode(element) is >= TypeCode.Boolean and <= TypeCode.UInt64;
            return areBits && x.GetType() == y.GetType() ? Bits(x).SequenceEqual(Bits(y)) : Sequences(x, y);
        }

        private static Span<byte> Bits(Array array) =>
            array.Length == 0
                ? default
                : MemoryMarshal.CreateSpan(ref MemoryMarshal.GetArrayDataReference(array), Buffer.ByteLength(array));

        private static bool Sequences(IEnumerable x, IEnumerable y)
        {
            var left = x.GetEnumerator();
            var right = y.GetEnumerator();
            try
            {
                while (true)
                {
                    var isMore = left.MoveNext();
                    if (isMore != right.MoveNext())
                    {
                        return false;
                    }

                    if (!isMore)
                    {
                        return true;
                    }

                    if (!Deep(left.Current, right.Current))
                    {
                        return false;
                    }
                }
            }
            finally
            {
                (left as IDisposable)?.Dispose();
                (right as IDisposable)?.Dispose();
            }
        }

        private sealed class Untyped : IEqualityComparer
        {
            public static readonly Untyped Default = new();

            public new bool Equals(object x, object y) => Deep(x, y);

            public int GetHashCode(object value) => 0;
        }
    }

    internal static class Text
    {
        private const int LongestText = 200, MostItems = 12, Deepest = 3;

        public static string Of(object value, int depth = 0)
        {
            try
            {
                return value switch
                {
                    null => "null",
                    string s when s.Length > LongestText => $"\"{s.Substring(0, LongestText)}...\" ({s.Length})",
                    string s => $"\"{s}\"",
                    char c => $"'{c}' (0x{(int)c:X4})",
                    double d => FormattableString.Invariant($"{d:R} (0x{BitConverter.DoubleToInt64Bits(d):X16})"),
                    float f => FormattableString.Invariant($"{f:R}f (0x{BitConverter.SingleToInt32Bits(f):X8})"),
                    Type t => t.FullName ?? t.Name,
                    DateTime t => $"{t:O} {t.Kind}",
                    IFormattable f => f.ToString(null, CultureInfo.InvariantCulture),
                    IEnumerable e when depth < Deepest => Items(e, depth + 1),
                    _ => value.ToString(),
                };
            }
            catch (Exception e)
            {
                return $"<{value.GetType().Name}: {e.GetType().Name}>";
            }
        }

        private static string Items(IEnumerable items, int depth)
        {
            var parts = new List<string>();
            foreach (var item in items)
            {
                if (parts.Count == MostItems)
                {
                    parts.Add("...");
                    break;
                }

                parts.Add(Of(item, depth));
            }

            return $"[{string.Join(", ", parts)}]";
        }
    }
}
