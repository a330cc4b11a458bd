using System;
using System.IO;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace MinimalRuntime.Typed;

/// <summary>Arrays of several dimensions; for generated code only.</summary>
public static class Grids
{
    /// <summary>An array whose lengths follow, or null; its items follow these.</summary>
    public static Array? Make<T>(ref Reader reader, int rank)
    {
        var length = reader.Get<int>();
        if (length < 0)
        {
            return null;
        }

        var lengths = new int[rank];
        lengths[0] = length;
        for (var i = 1; i < rank; i++)
        {
            lengths[i] = reader.Get<int>();
        }

        return Array.CreateInstance(typeof(T), lengths);
    }

    /// <summary>An array of numbers.</summary>
    public static Array? Numbers<T>(ref Reader reader, int rank)
        where T : unmanaged
    {
        var made = Make<T>(ref reader, rank);
        if (made is not null)
        {
            var items = Items<T>(made);
            reader.Many<T>(items.Length).CopyTo(items);
        }

        return made;
    }

    /// <summary>The items as they lie, the last index first.</summary>
    public static Span<T> Items<T>(Array array) => array.Length == 0 ? default
        : MemoryMarshal.CreateSpan(
            ref Unsafe.As<byte, T>(ref MemoryMarshal.GetArrayDataReference(array)), array.Length);

    /// <summary>Write the lengths of an array; false if there is none.</summary>
    public static bool Begin(Writer writer, Array? array)
    {
        if (array is null)
        {
            writer.Put(-1);
            return false;
        }

        for (var i = 0; i < array.Rank; i++)
        {
            writer.Put(array.GetLength(i));
        }

        return true;
    }

    /// <summary>Write an array of numbers.</summary>
    public static void Write<T>(Writer writer, Array? array)
        where T : unmanaged
    {
        if (Begin(writer, array))
        {
            writer.Raw(MemoryMarshal.AsBytes<T>(Items<T>(array!)));
        }
    }
}
