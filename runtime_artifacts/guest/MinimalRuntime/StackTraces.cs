using System;
using System.Diagnostics;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;

namespace MinimalRuntime;

/// <summary>
/// Files and lines of stack frames. Mono knows them only when it was started to be debugged, which
/// makes all code slower; here they are looked up when a trace is shown.
/// </summary>
internal static class StackTraces
{
    /// <summary>Have the base library ask for them (<c>CoreLibrary/HostFrames.cs</c>).</summary>
    public static void Install() =>
        AppContext.SetData("MinimalRuntime.Lines", (Action<StackFrame>)Complete);

    private static void Complete(StackFrame frame)
    {
        if (frame.GetMethod() is { } method && Pdb(method) is { } pdb
            && pdb.Find(method.MetadataToken, frame.GetILOffset()) is ({ } file, var line))
        {
            FileName(frame) = file;
            LineNumber(frame) = line;
        }
    }

    private static PortablePdb? Pdb(MethodBase method) =>
        AssemblyLoadContext.GetLoadContext(method.Module.Assembly) is CollectibleLoadContext context
            ? context.Symbols(method.Module.Assembly) : null;

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_fileName")]
    private static extern ref string? FileName(StackFrame frame);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_lineNumber")]
    private static extern ref int LineNumber(StackFrame frame);
}
