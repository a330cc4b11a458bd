using System;

namespace MinimalRuntime;

/// <summary>A host function raised an exception.</summary>
public sealed class HostFunctionException : Exception
{
    private const int LongestChain = 64;

    internal HostFunctionException(string function, string type, string message, int error)
        : base(message)
    {
        this.Function = function;
        this.Type = type;
        this.Error = error;
    }

    /// <summary>Gets the name of the host function.</summary>
    public string Function { get; }

    /// <summary>Gets the host's name of the exception's type, such as <c>ValueError</c>.</summary>
    public string Type { get; }

    /// <summary>The host's number of its exception.</summary>
    internal int Error { get; }

    /// <summary>The host's number of the exception that is at the root of this one, or 0.</summary>
    internal static int ErrorBehind(Exception? exception)
    {
        // A chain may be a circle: InnerException is what its author makes of it.
        for (var depth = 0; exception is not null && depth < LongestChain; depth++)
        {
            if (exception is HostFunctionException thrown)
            {
                return thrown.Error;
            }

            exception = exception.InnerException;
        }

        return 0;
    }
}
