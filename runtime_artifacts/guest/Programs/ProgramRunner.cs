using System;
using System.Reflection;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace MinimalRuntime.Programs;

/// <summary>
/// Runs the entry point of a program that was loaded as this function's dependency. The payload is
/// the program's assembly name and its arguments, each behind a NUL but the first; the result is
/// the exit code, four bytes, little-endian.
/// </summary>
public sealed class ProgramRunner : IAsyncFunctionHandler
{
    private const BindingFlags AnyStatic =
        BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    /// <inheritdoc/>
    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken cancellationToken)
    {
        var command = Encoding.UTF8.GetString(input.Span).Split('\0');
        var program = Assembly.Load(new AssemblyName(command[0]));
        Assembly.SetEntryAssembly(program);
        var result = Start(EntryPoint(program), command[1..]);
        int code;
        try
        {
            code = await result();
        }
        catch (Exception exception)
        {
            RaiseUnhandled(exception);
            ReportUnhandled(exception);
            throw;
        }

        RaiseProcessExit();
        Console.Out.Flush();
        Console.Error.Flush();
        return BitConverter.GetBytes(code);
    }

    // The compiler's wrapper of an async Main blocks until the task is done, which the one thread
    // of this runtime cannot: the method behind it is called instead.
    private static MethodInfo EntryPoint(Assembly program)
    {
        var entry = program.EntryPoint
            ?? throw new EntryPointNotFoundException($"{program.GetName().Name} has no Main method.");
        if (entry.Name != "<Main>" || entry.DeclaringType is not { } type)
        {
            return entry;
        }

        foreach (var method in type.GetMethods(AnyStatic))
        {
            if (method.Name is "Main" or "<Main>$" && typeof(Task).IsAssignableFrom(method.ReturnType)
                && method.GetParameters().Length == entry.GetParameters().Length)
            {
                return method;
            }
        }

        return entry;
    }

    // Delegates, not reflection: the program's frames are the first of its stack traces.
    private static Func<Task<int>> Start(MethodInfo entry, string[] arguments)
    {
        var takesArguments = entry.GetParameters().Length > 0;
        if (entry.ReturnType == typeof(void))
        {
            Action main = takesArguments ? Bind(entry.CreateDelegate<Action<string[]>>()) : entry.CreateDelegate<Action>();
            return () =>
            {
                main();
                return Task.FromResult(Environment.ExitCode);
            };
        }

        if (entry.ReturnType == typeof(int))
        {
            var main = Returning<int>();
            return () => Task.FromResult(main());
        }

        if (entry.ReturnType == typeof(Task<int>))
        {
            return Returning<Task<int>>();
        }

        if (entry.ReturnType == typeof(Task))
        {
            var main = Returning<Task>();
            return async () =>
            {
                await main();
                return Environment.ExitCode;
            };
        }

        throw new MissingMethodException(
            $"Main returns {entry.ReturnType}, not void, int, Task or Task<int>.");

        Action Bind(Action<string[]> main) => () => main(arguments);

        Func<T> Returning<T>()
        {
            if (!takesArguments)
            {
                return entry.CreateDelegate<Func<T>>();
            }

            var main = entry.CreateDelegate<Func<string[], T>>();
            return () => main(arguments);
        }
    }

    // As .NET writes it on Unix.
    private static void ReportUnhandled(Exception exception)
    {
        Console.Out.Flush();
        var text = new StringBuilder("Unhandled exception. ");
        foreach (var line in Describe(exception).Split('\n'))
        {
            if (!line.StartsWith("   at MinimalRuntime.Programs.", StringComparison.Ordinal))
            {
                text.Append(line).Append('\n');
            }
        }

        Console.Error.Write(text);
        Console.Error.Flush();
    }

    // Message and StackTrace are virtual: code of the program may stand behind them and throw.
    private static string Describe(Exception exception)
    {
        try
        {
            return exception.ToString();
        }
        catch (Exception second)
        {
            return $"{exception.GetType().FullName} (its ToString threw {second.GetType().FullName})";
        }
    }

    // What a handler throws is not looked at, as in .NET: the program ends anyway.
    private static void RaiseUnhandled(Exception exception)
    {
        try
        {
            typeof(AppContext).GetMethod("OnUnhandledException", AnyStatic)?.Invoke(null, [exception]);
        }
        catch (TargetInvocationException)
        {
        }
    }

    private static void RaiseProcessExit() =>
        typeof(AppContext).GetMethod("OnProcessExit", AnyStatic)?.Invoke(null, null);
}
