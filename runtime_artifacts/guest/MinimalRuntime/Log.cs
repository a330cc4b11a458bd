using System;

namespace MinimalRuntime;

/// <summary>
/// Structured log lines for the host. A template names its values, as in Microsoft.Extensions.Logging:
/// <c>Log.Information("user {Id} took {Seconds:F1} s", 3, 0.25)</c>. The host's record has the text,
/// the template, the values by name, and the function that wrote it.
/// </summary>
public static class Log
{
    /// <summary>Write a line of level <see cref="LogLevel.Trace"/>.</summary>
    public static void Trace(string template, params object?[] values) =>
        Write(LogLevel.Trace, null, template, values);

    /// <summary>Write a line of level <see cref="LogLevel.Debug"/>.</summary>
    public static void Debug(string template, params object?[] values) =>
        Write(LogLevel.Debug, null, template, values);

    /// <summary>Write a line of level <see cref="LogLevel.Information"/>.</summary>
    public static void Information(string template, params object?[] values) =>
        Write(LogLevel.Information, null, template, values);

    /// <summary>Write a line of level <see cref="LogLevel.Warning"/>.</summary>
    public static void Warning(string template, params object?[] values) =>
        Write(LogLevel.Warning, null, template, values);

    /// <summary>Write a line of level <see cref="LogLevel.Error"/>.</summary>
    public static void Error(string template, params object?[] values) =>
        Write(LogLevel.Error, null, template, values);

    /// <summary>Write a line of level <see cref="LogLevel.Error"/> about an exception.</summary>
    public static void Error(Exception exception, string template, params object?[] values) =>
        Write(LogLevel.Error, exception, template, values);

    /// <summary>Write a line of level <see cref="LogLevel.Critical"/>.</summary>
    public static void Critical(string template, params object?[] values) =>
        Write(LogLevel.Critical, null, template, values);

    /// <summary>Write a line.</summary>
    /// <param name="level">How much it matters.</param>
    /// <param name="exception">What it is about, or null; the host gets its text.</param>
    /// <param name="template">Text with named holes; double braces are braces.</param>
    /// <param name="values">The values for the holes, in order.</param>
    public static void Write(LogLevel level, Exception? exception, string template, params object?[] values) =>
        LogLine.Write(level, exception, template, values);
}
