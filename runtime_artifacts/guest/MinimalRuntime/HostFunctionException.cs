using System;

namespace MinimalRuntime;

/// <summary>A host function raised an exception.</summary>
public sealed class HostFunctionException : Exception
{
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
        for (; exception is not null; exception = exception.InnerException)
        {
            if (exception is HostFunctionException thrown)
            {
                return thrown.Error;
            }
        }

        return 0;
    }
}
