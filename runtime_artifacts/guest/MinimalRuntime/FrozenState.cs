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

    /// <summary>Fields of <c>System.Console</c>: a writer, and whether a program has set it.</summary>
    private static readonly (string Writer, string Redirected)[] ConsoleWriters =
    [
        ("s_out", "s_isOutTextWriterRedirected"),
        ("s_error", "s_isErrorTextWriterRedirected"),
    ];

    public static void Drop()
    {
        SharedGenerator?.SetValue(null, null);
        DropConsole();
    }

    // The console's writers hold descriptors, which an instance of an image does not have: they
    // are opened anew at their next use. What a program has set in their place stays.
    private static void DropConsole()
    {
        if (Type.GetType("System.Console, System.Console") is not { } console)
        {
            return;
        }

        foreach (var (writer, redirected) in ConsoleWriters)
        {
            if (Field(console, redirected)?.GetValue(null) is false)
            {
                Field(console, writer)?.SetValue(null, null);
            }
        }

        StandardInput.Renew();
    }

    private static FieldInfo? Field(Type type, string name) =>
        type.GetField(name, BindingFlags.Static | BindingFlags.NonPublic);
}
