using System;
using System.Reflection;
using System.Text;

namespace MinimalRuntime;

/// <summary>Chooses the handler type of an assembly and explains when there is none.</summary>
internal static class HandlerLocator
{
    /// <summary>The type called <paramref name="name"/>, or without one the first usable.</summary>
    public static Type Find(Assembly assembly, string name)
    {
        if (name.Length != 0)
        {
            return FindNamed(assembly, name);
        }

        Type? unusable = null;
        foreach (var type in TypesOf(assembly))
        {
            if (!IsHandler(type) || type.IsInterface)
            {
                continue;
            }

            if (WhyUnusable(type) is null)
            {
                return type;
            }

            unusable ??= type;
        }

        throw new HandlerNotFoundException(unusable is null
            ? $"assembly '{assembly.GetName().Name}' has no class that implements MinimalRuntime.IFunctionHandler or IAsyncFunctionHandler"
            : WhyUnusable(unusable)!);
    }

    private static Type FindNamed(Assembly assembly, string name)
    {
        var type = assembly.GetType(name) ?? throw new HandlerNotFoundException(
            $"assembly '{assembly.GetName().Name}' has no type '{name}'");
        if (!IsHandler(type))
        {
            throw new HandlerNotFoundException(
                $"type '{name}' does not implement MinimalRuntime.IFunctionHandler or IAsyncFunctionHandler");
        }

        return WhyUnusable(type) is { } reason ? throw new HandlerNotFoundException(reason) : type;
    }

    private static bool IsHandler(Type type) =>
        typeof(IFunctionHandler).IsAssignableFrom(type) || typeof(IAsyncFunctionHandler).IsAssignableFrom(type);

    private static string? WhyUnusable(Type type)
    {
        if (type.IsInterface || type.IsAbstract)
        {
            return $"handler type '{type.FullName}' is abstract";
        }

        if (type.ContainsGenericParameters)
        {
            return $"handler type '{type.FullName}' is an open generic type";
        }

        return type.IsValueType || type.GetConstructor(Type.EmptyTypes) is not null
            ? null
            : $"handler type '{type.FullName}' has no public parameterless constructor";
    }

    private static Type[] TypesOf(Assembly assembly)
    {
        try
        {
            return assembly.GetTypes();
        }
        catch (ReflectionTypeLoadException exception)
        {
            var reasons = new StringBuilder();
            foreach (var cause in exception.LoaderExceptions)
            {
                var reason = cause is null ? "" : ErrorRecord.Message(cause);
                if (reason.Length != 0 && !reasons.ToString().Contains(reason))
                {
                    reasons.Append(reasons.Length == 0 ? "" : " ").Append(reason);
                }
            }

            throw new TypeLoadException(reasons.Length == 0 ? exception.Message : reasons.ToString());
        }
    }
}

/// <summary>The assembly has no usable handler; the message says why.</summary>
internal sealed class HandlerNotFoundException(string message) : Exception(message);

/// <summary>The handler's constructor threw.</summary>
internal sealed class HandlerConstructionException(Type type, Exception thrown)
    : Exception($"the constructor of '{type.FullName}' threw", thrown);
