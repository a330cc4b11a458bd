namespace MinimalRuntime;

/// <summary>How much a log line matters; the values of Microsoft.Extensions.Logging.</summary>
public enum LogLevel
{
    /// <summary>Every step.</summary>
    Trace = 0,

    /// <summary>For whoever looks for a fault.</summary>
    Debug = 1,

    /// <summary>What happened.</summary>
    Information = 2,

    /// <summary>Unexpected, and dealt with.</summary>
    Warning = 3,

    /// <summary>Something failed.</summary>
    Error = 4,

    /// <summary>Nothing works any more.</summary>
    Critical = 5,
}
