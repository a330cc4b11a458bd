// The few types that the contract's metadata names, in an assembly with System.Runtime's identity.
// The SDK has the real one; this only makes the contract refer to it instead of to the
// implementation assembly that this build has at hand.
using System.Reflection;

[assembly: AssemblyVersion("8.0.0.0")]

namespace System
{
    public class Object;
    public abstract class ValueType;
    public abstract class Enum : ValueType;
    public abstract class Array;
    public abstract class Attribute;
    public struct Void;
    public struct Boolean;
    public struct Byte;
    public struct Int32;
    public struct Nullable<T>
        where T : struct;
    public sealed class String;
    public class Exception;
    public sealed class ParamArrayAttribute : Attribute;
    public readonly ref struct ReadOnlySpan<T>;
    public readonly struct ReadOnlyMemory<T>;

    [AttributeUsage(AttributeTargets.Class)]
    public sealed class AttributeUsageAttribute(AttributeTargets validOn) : Attribute
    {
        public AttributeTargets ValidOn => validOn;

        public bool AllowMultiple { get; set; }

        public bool Inherited { get; set; }
    }

    public enum AttributeTargets
    {
        Class = 4,
        All = 32767,
    }
}

namespace System.Threading
{
    public readonly struct CancellationToken;
}

namespace System.Threading.Tasks
{
    public class Task<T>;
    public readonly struct ValueTask<T>;
}

namespace System.Reflection
{
    public sealed class AssemblyVersionAttribute(string version) : Attribute
    {
        public string Version => version;
    }

    public sealed class AssemblyFileVersionAttribute(string version) : Attribute
    {
        public string Version => version;
    }

    public sealed class AssemblyTitleAttribute(string title) : Attribute
    {
        public string Title => title;
    }

    public sealed class AssemblyDescriptionAttribute(string description) : Attribute
    {
        public string Description => description;
    }
}
