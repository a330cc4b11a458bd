using System;
using System.Reflection;

namespace MinimalRuntime;

/// <summary>
/// State of the base library that instances of one image must not have in common.
/// </summary>
/// <remarks>
/// The hash seeds (<c>string.GetHashCode</c>, <c>HashCode</c>) are not here: tables that are frozen
/// beside them were filled with them.
/// </remarks>
internal static class FrozenState
{
    /// <summary>The generator behind <see cref="Random.Shared"/>: made anew at its next use.</summary>
    private static readonly FieldInfo? SharedGenerator = typeof(Random)
        .GetNestedType("ThreadSafeRandom", BindingFlags.NonPublic)?
        .GetField("t_random", BindingFlags.Static | BindingFlags.NonPublic);

    public static void Drop() => SharedGenerator?.SetValue(null, null);
}
