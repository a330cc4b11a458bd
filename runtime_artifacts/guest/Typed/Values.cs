using System;
using System.Collections;
using System.Collections.Generic;
using System.IO;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace MinimalRuntime.Typed;

/// <summary>
/// Values of the type <c>object</c>: a byte that says which type, and the value. For generated code,
/// which adds the records and enums of an assembly. The Python half is
/// <c>dotnet_wasm_host/typed/dynamic.py</c>.
/// </summary>
/// <param name="objects">What has the handles of others.</param>
/// <param name="objectType">The number of <c>object</c> there.</param>
public abstract class Values(Objects objects, int objectType)
{
    private enum Tag : byte
    {
        Null, Bool, Char, SByte, Byte, Int16, UInt16, Int32, UInt32, Int64, UInt64, Single, Double,
        Half, Int128, UInt128, Text, Decimal, Guid, DateTime, DateTimeOffset, DateOnly, TimeOnly,
        TimeSpan, BigInteger, Bytes, Numbers, List, Map, Set, Tuple, Record, Enum, Handle, Json,
    }

    /// <summary>A value, or null.</summary>
    public object? Read(ref Reader r)
    {
        var tag = (Tag)r.Get<byte>();
        switch (tag)
        {
            case Tag.Null: return null;
            case Tag.Bool: return r.Has();
            case Tag.Char: return r.Get<char>();
            case Tag.Int32: return r.Get<int>();
            case Tag.Int64: return r.Get<long>();
            case Tag.UInt64: return r.Get<ulong>();
            case Tag.Double: return r.Get<double>();
            case Tag.Text: return r.Text();
            case Tag.Decimal: return r.Decimal();
            case Tag.Guid: return r.Get<Guid>();
            case Tag.DateTime: return r.DateTime();
            case Tag.DateTimeOffset: return r.DateTimeOffset();
            case Tag.DateOnly: return r.DateOnly();
            case Tag.TimeOnly: return r.TimeOnly();
            case Tag.TimeSpan: return r.TimeSpan();
            case Tag.BigInteger: return r.BigInteger();
            case Tag.Bytes: return r.Array<byte>();
            case Tag.Handle: return objects.Get(r.Get<long>());
            case Tag.Enum: return this.MakeEnum(r.Get<int>(), r.Get<long>());
            case Tag.Numbers: return ReadNumbers((Tag)r.Get<byte>(), ref r);
            default:
                r.Enter();
                var read = this.ReadMany(tag, ref r);
                r.Leave();
                return read;
        }
    }

    /// <summary>Write a value, or null.</summary>
    public void Write(Writer w, object? value)
    {
        switch (value)
        {
            case null: Put(w, Tag.Null); break;
            case bool x: Put(w, Tag.Bool, x); break;
            case char x: Put(w, Tag.Char, x); break;
            case sbyte x: Put(w, Tag.SByte, x); break;
            case byte x: Put(w, Tag.Byte, x); break;
            case short x: Put(w, Tag.Int16, x); break;
            case ushort x: Put(w, Tag.UInt16, x); break;
            case int x: Put(w, Tag.Int32, x); break;
            case uint x: Put(w, Tag.UInt32, x); break;
            case long x: Put(w, Tag.Int64, x); break;
            case ulong x: Put(w, Tag.UInt64, x); break;
            case nint x: Put(w, Tag.Int64, (long)x); break;
            case nuint x: Put(w, Tag.UInt64, (ulong)x); break;
            case float x: Put(w, Tag.Single, x); break;
            case double x: Put(w, Tag.Double, x); break;
            case Half x: Put(w, Tag.Half, x); break;
            case Int128 x: Put(w, Tag.Int128, x); break;
            case UInt128 x: Put(w, Tag.UInt128, x); break;
            case Guid x: Put(w, Tag.Guid, x); break;
            case string x: Put(w, Tag.Text); w.Text(x); break;
            case decimal x: Put(w, Tag.Decimal); w.Decimal(x); break;
            case DateTime x: Put(w, Tag.DateTime); w.DateTime(x); break;
            case DateTimeOffset x: Put(w, Tag.DateTimeOffset); w.DateTimeOffset(x); break;
            case DateOnly x: Put(w, Tag.DateOnly); w.DateOnly(x); break;
            case TimeOnly x: Put(w, Tag.TimeOnly); w.TimeOnly(x); break;
            case TimeSpan x: Put(w, Tag.TimeSpan); w.TimeSpan(x); break;
            case BigInteger x: Put(w, Tag.BigInteger); w.BigInteger(x); break;
            case byte[] x when x.GetType() == typeof(byte[]): Put(w, Tag.Bytes); w.Array(x); break;
            case JsonElement x: Put(w, Tag.Json); w.Text(x.ValueKind == JsonValueKind.Undefined ? null : x.GetRawText()); break;
            case JsonNode x: Put(w, Tag.Json); w.Text(x.ToJsonString()); break;
            case Enum x: this.WriteEnum(w, x); break;
            default:
                w.Enter();
                this.WriteOther(w, value, value.GetType());
                w.Leave();
                break;
        }
    }

    /// <summary>A record by its number.</summary>
    protected abstract object? ReadRecord(int number, ref Reader r);

    /// <summary>The value of an enum by its type's number.</summary>
    protected abstract object MakeEnum(int number, long value);

    /// <summary>The number of a record or enum; -1 for other types.</summary>
    protected abstract int NumberOf(Type type);

    /// <summary>Write what is a record.</summary>
    protected abstract void WriteRecord(Writer w, int number, object value);

    private static void Put(Writer w, Tag tag) => w.Put((byte)tag);

    private static void Put<T>(Writer w, Tag tag, T value)
        where T : unmanaged
    {
        w.Put((byte)tag);
        w.Put(value);
    }

    private static Array? ReadNumbers(Tag tag, ref Reader r) => tag switch
    {
        Tag.Bool => r.Array<bool>(),
        Tag.SByte => r.Array<sbyte>(),
        Tag.Byte => r.Array<byte>(),
        Tag.Int16 => r.Array<short>(),
        Tag.UInt16 => r.Array<ushort>(),
        Tag.Int32 => r.Array<int>(),
        Tag.UInt32 => r.Array<uint>(),
        Tag.Int64 => r.Array<long>(),
        Tag.UInt64 => r.Array<ulong>(),
        Tag.Single => r.Array<float>(),
        Tag.Double => r.Array<double>(),
        Tag.Half => r.Array<Half>(),
        _ => throw Objects.NotThere(),
    };

    private static bool WriteNumbers(Writer w, object value)
    {
        switch (value)
        {
            case bool[] x: Numbers(w, Tag.Bool, x); return true;
            case int[] x when x.GetType() == typeof(int[]): Numbers(w, Tag.Int32, x); return true;
            case uint[] x when x.GetType() == typeof(uint[]): Numbers(w, Tag.UInt32, x); return true;
            case long[] x when x.GetType() == typeof(long[]): Numbers(w, Tag.Int64, x); return true;
            case ulong[] x when x.GetType() == typeof(ulong[]): Numbers(w, Tag.UInt64, x); return true;
            case short[] x when x.GetType() == typeof(short[]): Numbers(w, Tag.Int16, x); return true;
            case ushort[] x when x.GetType() == typeof(ushort[]): Numbers(w, Tag.UInt16, x); return true;
            case sbyte[] x when x.GetType() == typeof(sbyte[]): Numbers(w, Tag.SByte, x); return true;
            case float[] x: Numbers(w, Tag.Single, x); return true;
            case double[] x: Numbers(w, Tag.Double, x); return true;
            case Half[] x: Numbers(w, Tag.Half, x); return true;
            default: return false;
        }
    }

    private static void Numbers<T>(Writer w, Tag tag, T[] values)
        where T : unmanaged
    {
        Put(w, Tag.Numbers);
        Put(w, tag);
        w.Array(values);
    }

    /// <summary>Whether Python can have values of a type in sets and as keys.</summary>
    private static bool IsHashable(Type type) =>
        type == typeof(string) || type.IsPrimitive || type.IsEnum || type == typeof(decimal)
        || type == typeof(Guid) || type == typeof(DateTime) || type == typeof(DateTimeOffset)
        || type == typeof(DateOnly) || type == typeof(TimeOnly) || type == typeof(TimeSpan)
        || type == typeof(BigInteger);

    private object? ReadMany(Tag tag, ref Reader r)
    {
        if (tag == Tag.Record)
        {
            return this.ReadRecord(r.Get<int>(), ref r);
        }

        var count = r.Count();
        switch (tag)
        {
            case Tag.List:
                var items = new object?[count];
                for (var i = 0; i < count; i++)
                {
                    items[i] = this.Read(ref r);
                }

                return items;
            case Tag.Set:
                var set = new HashSet<object?>();
                while (count-- > 0)
                {
                    set.Add(this.Read(ref r));
                }

                return set;
            case Tag.Map:
                return this.ReadMap(count, ref r);
            default:
                throw Objects.NotThere();
        }
    }

    private IDictionary ReadMap(int count, ref Reader r)
    {
        var keys = new object?[count];
        var values = new object?[count];
        var isText = true;
        for (var i = 0; i < count; i++)
        {
            keys[i] = this.Read(ref r);
            values[i] = this.Read(ref r);
            isText &= keys[i] is string;
        }

        IDictionary map = isText ? new Dictionary<string, object?>() : new Dictionary<object, object?>();
        for (var i = 0; i < count; i++)
        {
            map.Add(keys[i]!, values[i]);
        }

        return map;
    }

    private void WriteEnum(Writer w, Enum value)
    {
        var number = this.NumberOf(value.GetType());
        var plain = Convert.ChangeType(value, value.GetTypeCode(), null);
        if (number < 0)
        {
            this.Write(w, plain);
            return;
        }

        Put(w, Tag.Enum);
        w.Put(number);
        w.Put(plain is ulong large ? unchecked((long)large) : Convert.ToInt64(plain, null));
    }

    private void WriteOther(Writer w, object value, Type type)
    {
        var number = this.NumberOf(type);
        if (number >= 0)
        {
            Put(w, Tag.Record);
            w.Put(number);
            this.WriteRecord(w, number, value);
        }
        else if (!WriteNumbers(w, value) && !this.WriteMany(w, value, type))
        {
            Put(w, Tag.Handle);
            w.Put(objects.Add(value, objectType));
        }
    }

    private bool WriteMany(Writer w, object value, Type type)
    {
        var generic = type.IsGenericType ? type.GetGenericTypeDefinition() : null;
        switch (value)
        {
            case Array array:
                this.WriteArray(w, array, new int[array.Rank], 0);
                break;
            case IList list when generic == typeof(List<>):
                this.WriteItems(w, Tag.List, list, list.Count);
                break;
            case IDictionary map when generic == typeof(Dictionary<,>) && HasHashable(map.Keys):
                Put(w, Tag.Map);
                w.Put(map.Count);
                foreach (DictionaryEntry entry in map)
                {
                    this.Write(w, entry.Key);
                    this.Write(w, entry.Value);
                }

                break;
            case ITuple tuple when type.IsValueType:
                Put(w, Tag.Tuple);
                w.Put(tuple.Length);
                for (var i = 0; i < tuple.Length; i++)
                {
                    this.Write(w, tuple[i]);
                }

                break;
            case IEnumerable set when generic == typeof(HashSet<>) && HasHashable(set):
                var count = 0;
                foreach (var _ in set)
                {
                    count++;
                }

                this.WriteItems(w, Tag.Set, set, count);
                break;
            default:
                return false;
        }

        return true;
    }

    private static bool HasHashable(IEnumerable items)
    {
        foreach (var item in items)
        {
            if (item is not null && !IsHashable(item.GetType()))
            {
                return false;
            }
        }

        return true;
    }

    private void WriteItems(Writer w, Tag tag, IEnumerable items, int count)
    {
        Put(w, tag);
        w.Put(count);
        foreach (var item in items)
        {
            this.Write(w, item);
        }
    }

    /// <summary>An array, or what it has at an index of its first dimensions, as lists of lists.</summary>
    private void WriteArray(Writer w, Array array, int[] index, int dimension)
    {
        var length = array.GetLength(dimension);
        var lower = array.GetLowerBound(dimension);
        Put(w, Tag.List);
        w.Put(length);
        for (var i = lower; i < lower + length; i++)
        {
            index[dimension] = i;
            if (dimension + 1 < array.Rank)
            {
                this.WriteArray(w, array, index, dimension + 1);
            }
            else
            {
                this.Write(w, array.GetValue(index));
            }
        }
    }
}
