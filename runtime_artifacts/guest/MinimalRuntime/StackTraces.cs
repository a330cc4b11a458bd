using System;
using System.Diagnostics;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;

namespace MinimalRuntime;

/// <summary>
/// Stack traces with files and lines. Mono knows them only when it was started to be debugged,
/// which makes all code slower; here they are looked up when a trace is shown.
/// </summary>
internal static class StackTraces
{
    /// <summary>The stack trace of an exception, with the lines of those frames that have one.</summary>
    public static string? Of(Exception exception)
    {
        try
        {
            if (WithLines(exception) is { } text)
            {
                return text;
            }
        }
        catch (Exception)
        {
            // A damaged PDB, or a trimmed library that lacks what it takes.
        }

        return exception.StackTrace;
    }

    /// <summary>Have <c>ToString</c> of an exception and its inner ones show lines, from now on.</summary>
    public static void Complete(Exception exception)
    {
        var left = 16;
        Complete(exception, ref left);
    }

    private static void Complete(Exception exception, ref int left)
    {
        if (left-- <= 0)
        {
            return;
        }

        try
        {
            if (Of(exception) is { Length: > 0 } text)
            {
                StackTraceText(exception) = text;
            }
        }
        catch (Exception)
        {
            return; // StackTrace is virtual, and may throw
        }

        if (exception is AggregateException { InnerExceptions: var all })
        {
            foreach (var one in all)
            {
                Complete(one, ref left);
            }
        }
        else if (exception.InnerException is { } inner)
        {
            Complete(inner, ref left);
        }
    }

    private static string? WithLines(Exception exception)
    {
        var trace = new StackTrace(exception, fNeedFileInfo: true);
        var found = false;
        foreach (var frame in trace.GetFrames())
        {
            if (frame.GetILOffset() >= 0 && frame.GetFileName() is null
                && frame.GetMethod() is { } method && Pdb(method) is { } pdb
                && pdb.Find(method.MetadataToken, frame.GetILOffset()) is ({ } file, var line))
            {
                found = true;
                FileName(frame) = file;
                LineNumber(frame) = line;
            }
        }

        if (!found || OverridesStackTrace(exception.GetType()))
        {
            return null;
        }

        // What is before it was put there by ExceptionDispatchInfo.SetRemoteStackTrace.
        return string.Concat(RemoteStackTrace(exception), trace.ToString().AsSpan().TrimEnd('\n'));
    }

    private static bool OverridesStackTrace(Type type) =>
        type.Assembly != typeof(Exception).Assembly
        && type.GetProperty(nameof(Exception.StackTrace))?.GetMethod?.DeclaringType != typeof(Exception);

    private static PortablePdb? Pdb(MethodBase method) =>
        AssemblyLoadContext.GetLoadContext(method.Module.Assembly) is CollectibleLoadContext context
            ? context.Symbols(method.Module.Assembly) : null;

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_fileName")]
    private static extern ref string? FileName(StackFrame frame);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_lineNumber")]
    private static extern ref int LineNumber(StackFrame frame);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_remoteStackTraceString")]
    private static extern ref string? RemoteStackTrace(Exception exception);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_stackTraceString")]
    private static extern ref string? StackTraceText(Exception exception);
}
