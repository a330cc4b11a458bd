// What marks tests: the attributes of xunit 2 and of dotnet/arcade that .NET's library tests use.
using System;
using System.Collections;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using System.Threading.Tasks;

namespace Xunit
{
    [AttributeUsage(AttributeTargets.Method)]
    public class FactAttribute : Attribute
    {
        public virtual string DisplayName { get; set; }
        public virtual string Skip { get; set; }
        public virtual int Timeout { get; set; }
    }

    [AttributeUsage(AttributeTargets.Method)]
    public class TheoryAttribute : FactAttribute
    {
        public bool DisableDiscoveryEnumeration { get; set; }
    }

    /// <summary>Runs only where static members, all boolean, are true.</summary>
    internal interface ICondition
    {
        Type Owner { get; }

        string[] Members { get; }
    }

    [AttributeUsage(AttributeTargets.Method)]
    public class ConditionalFactAttribute : FactAttribute, ICondition
    {
        public ConditionalFactAttribute(params string[] conditionMembers) => Members = conditionMembers;

        public ConditionalFactAttribute(Type calleeType, params string[] conditionMembers)
            : this(conditionMembers) => Owner = calleeType;

        public Type Owner { get; }

        public string[] Members { get; }
    }

    [AttributeUsage(AttributeTargets.Method)]
    public class ConditionalTheoryAttribute : TheoryAttribute, ICondition
    {
        public ConditionalTheoryAttribute(params string[] conditionMembers) => Members = conditionMembers;

        public ConditionalTheoryAttribute(Type calleeType, params string[] conditionMembers)
            : this(conditionMembers) => Owner = calleeType;

        public Type Owner { get; }

        public string[] Members { get; }
    }

    [AttributeUsage(AttributeTargets.Class | AttributeTargets.Assembly, AllowMultiple = true)]
    public class ConditionalClassAttribute : Attribute, ICondition
    {
        public ConditionalClassAttribute(Type calleeType, params string[] conditionMembers)
        {
            Owner = calleeType;
            Members = conditionMembers;
        }

        public Type Owner { get; }

        public string[] Members { get; }
    }

    [AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
    public sealed class InlineDataAttribute : Sdk.DataAttribute
    {
        private readonly object[] row;

        // null is one argument that is null.
        public InlineDataAttribute(params object[] data) => row = data ?? new object[] { null };

        public override IEnumerable<object[]> GetData(MethodInfo testMethod) => new[] { row };
    }

    [AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
    public class ClassDataAttribute : Sdk.DataAttribute
    {
        public ClassDataAttribute(Type @class) => Class = @class;

        public Type Class { get; }

        public override IEnumerable<object[]> GetData(MethodInfo testMethod) =>
            (IEnumerable<object[]>)Activator.CreateInstance(Class);
    }

    [AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
    public abstract class MemberDataAttributeBase : Sdk.DataAttribute
    {
        private const BindingFlags Static = BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic;

        protected MemberDataAttributeBase(string memberName, object[] parameters)
        {
            MemberName = memberName;
            Parameters = parameters ?? Array.Empty<object>();
        }

        public string MemberName { get; }

        public object[] Parameters { get; }

        public Type MemberType { get; set; }

        public bool DisableDiscoveryEnumeration { get; set; }

        public override IEnumerable<object[]> GetData(MethodInfo testMethod)
        {
            var owner = MemberType ?? testMethod.ReflectedType;
            for (var type = owner; type != null; type = type.BaseType)
            {
                if (type.GetProperty(MemberName, Static) is { } property)
                {
                    return Rows(property.GetValue(null));
                }

                if (type.GetField(MemberName, Static) is { } field)
                {
                    return Rows(field.GetValue(null));
                }

                var method = type.GetMethods(Static).FirstOrDefault(m => m.Name == MemberName && Takes(m));
                if (method != null)
                {
                    var rest = method.GetParameters().Skip(Parameters.Length).Select(p => p.DefaultValue);
                    return Rows(method.Invoke(null, Parameters.Concat(rest).ToArray()));
                }
            }

            throw new ArgumentException($"{owner} has no static member {MemberName}");
        }

        private bool Takes(MethodInfo method)
        {
            var parameters = method.GetParameters();
            return parameters.Length >= Parameters.Length
                && parameters.Skip(Parameters.Length).All(p => p.HasDefaultValue);
        }

        private static IEnumerable<object[]> Rows(object value) => value switch
        {
            null => null,
            IEnumerable<object[]> rows => rows,
            _ => ((IEnumerable)value).Cast<object>().Select(item => item as object[] ?? new[] { item }),
        };
    }

    public sealed class MemberDataAttribute : MemberDataAttributeBase
    {
        public MemberDataAttribute(string memberName, params object[] parameters)
            : base(memberName, parameters)
        {
        }
    }

    public abstract class TheoryData : IEnumerable<object[]>
    {
        private readonly List<object[]> rows = new();

        public IEnumerator<object[]> GetEnumerator() => rows.GetEnumerator();

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

        protected void AddRow(params object[] values) => rows.Add(values);
    }

    public class TheoryData<T> : TheoryData
    {
        public void Add(T p) => AddRow(p);
    }

    public class TheoryData<T1, T2> : TheoryData
    {
        public void Add(T1 p1, T2 p2) => AddRow(p1, p2);
    }

    public class TheoryData<T1, T2, T3> : TheoryData
    {
        public void Add(T1 p1, T2 p2, T3 p3) => AddRow(p1, p2, p3);
    }

    public class TheoryData<T1, T2, T3, T4> : TheoryData
    {
        public void Add(T1 p1, T2 p2, T3 p3, T4 p4) => AddRow(p1, p2, p3, p4);
    }

    public class TheoryData<T1, T2, T3, T4, T5> : TheoryData
    {
        public void Add(T1 p1, T2 p2, T3 p3, T4 p4, T5 p5) => AddRow(p1, p2, p3, p4, p5);
    }

    public class TheoryData<T1, T2, T3, T4, T5, T6> : TheoryData
    {
        public void Add(T1 p1, T2 p2, T3 p3, T4 p4, T5 p5, T6 p6) => AddRow(p1, p2, p3, p4, p5, p6);
    }

    [AttributeUsage(AttributeTargets.All, AllowMultiple = true)]
    public sealed class TraitAttribute : Attribute
    {
        public TraitAttribute(string name, string value)
        {
        }
    }

    [AttributeUsage(AttributeTargets.Class)]
    public sealed class CollectionAttribute : Attribute
    {
        public CollectionAttribute(string name)
        {
        }
    }

    [AttributeUsage(AttributeTargets.Class)]
    public sealed class CollectionDefinitionAttribute : Attribute
    {
        public CollectionDefinitionAttribute()
        {
        }

        public CollectionDefinitionAttribute(string name)
        {
        }

        public bool DisableParallelization { get; set; }
    }

    [AttributeUsage(AttributeTargets.Assembly)]
    public sealed class CollectionBehaviorAttribute : Attribute
    {
        public CollectionBehaviorAttribute()
        {
        }

        public CollectionBehaviorAttribute(CollectionBehavior behavior)
        {
        }

        public bool DisableTestParallelization { get; set; }

        public int MaxParallelThreads { get; set; }
    }

    public enum CollectionBehavior
    {
        CollectionPerAssembly,
        CollectionPerClass,
    }

    public interface IClassFixture<T>
        where T : class
    {
    }

    public interface ICollectionFixture<T>
        where T : class
    {
    }

    public interface IAsyncLifetime
    {
        Task InitializeAsync();

        Task DisposeAsync();
    }

    [Flags]
    public enum TestPlatforms
    {
        Windows = 1,
        Linux = 2,
        OSX = 4,
        FreeBSD = 8,
        NetBSD = 16,
        illumos = 32,
        Solaris = 64,
        iOS = 128,
        tvOS = 256,
        Android = 512,
        Browser = 1024,
        MacCatalyst = 2048,
        LinuxBionic = 4096,
        Wasi = 8192,
        AnyApple = OSX | iOS | tvOS | MacCatalyst,
        AnyUnix = AnyApple | Linux | FreeBSD | NetBSD | illumos | Solaris | Android | Browser,
        Any = ~0,
    }

    [Flags]
    public enum TargetFrameworkMonikers
    {
        Netcoreapp = 1,
        NetFramework = 2,
        Uap = 4,
        UapNotUapAot = 8,
        UapAot = 16,
        NetcoreCoreRT = 32,
        Mono = 128,
        Any = ~0,
    }

    [Flags]
    public enum TestRuntimes
    {
        Mono = 1,
        CoreCLR = 2,
        Any = ~0,
    }

    [Flags]
    public enum RuntimeTestModes
    {
        RegularRun = 1,
        JitStress = 2,
        InterpreterActive = 4,
        Any = ~0,
    }

    [Flags]
    public enum RuntimeConfiguration
    {
        Checked = 1,
        Debug = 2,
        Release = 4,
        Any = ~0,
    }

    /// <summary>Tells why a test is left out; null if it is not.</summary>
    internal interface ILeavesOut
    {
        string Reason { get; }
    }

    [AttributeUsage(AttributeTargets.All, AllowMultiple = true)]
    public sealed class PlatformSpecificAttribute : Attribute, ILeavesOut
    {
        private readonly TestPlatforms platforms;

        public PlatformSpecificAttribute(TestPlatforms platforms) => this.platforms = platforms;

        // What holds for Linux holds mostly here: paths, line ends, file names.
        string ILeavesOut.Reason =>
            (platforms & (TestPlatforms.Linux | TestPlatforms.Browser)) == 0 ? "for " + platforms : null;
    }

    [AttributeUsage(AttributeTargets.All, AllowMultiple = true)]
    public sealed class SkipOnPlatformAttribute : Attribute, ILeavesOut
    {
        private readonly string reason;

        public SkipOnPlatformAttribute(TestPlatforms testPlatforms, string reason) =>
            this.reason = (testPlatforms & TestPlatforms.Browser) == 0 ? null : "not for browsers: " + reason;

        string ILeavesOut.Reason => reason;
    }

    [AttributeUsage(AttributeTargets.All, AllowMultiple = true)]
    public sealed class SkipOnTargetFrameworkAttribute : Attribute, ILeavesOut
    {
        private const TargetFrameworkMonikers Here = TargetFrameworkMonikers.Netcoreapp | TargetFrameworkMonikers.Mono;
        private readonly TargetFrameworkMonikers frameworks;

        public SkipOnTargetFrameworkAttribute(TargetFrameworkMonikers platform, string reason = null) =>
            frameworks = platform;

        string ILeavesOut.Reason => (frameworks & Here) == 0 ? null : "not for " + frameworks;
    }

    [AttributeUsage(AttributeTargets.All, AllowMultiple = true)]
    public sealed class SkipOnMonoAttribute : Attribute, ILeavesOut
    {
        public SkipOnMonoAttribute(string reason, TestPlatforms testPlatforms = TestPlatforms.Any)
        {
        }

        string ILeavesOut.Reason => "not for Mono";
    }

    [AttributeUsage(AttributeTargets.All, AllowMultiple = true)]
    public sealed class SkipOnCoreClrAttribute : Attribute
    {
        public SkipOnCoreClrAttribute(string reason, params object[] more)
        {
        }
    }

    [AttributeUsage(AttributeTargets.All, AllowMultiple = true)]
    public sealed class ActiveIssueAttribute : Attribute, ILeavesOut
    {
        private const TestPlatforms Platform = TestPlatforms.Linux;
        private readonly object issue;
        private readonly bool applies;

        public ActiveIssueAttribute(string issue)
            : this(issue, applies: true)
        {
        }

        public ActiveIssueAttribute(string issue, TestPlatforms platforms)
            : this(issue, (platforms & Platform) != 0)
        {
        }

        public ActiveIssueAttribute(string issue, TargetFrameworkMonikers framework)
            : this(issue, (framework & TargetFrameworkMonikers.Netcoreapp) != 0)
        {
        }

        public ActiveIssueAttribute(string issue, TestRuntimes runtimes)
            : this(issue, (runtimes & TestRuntimes.Mono) != 0)
        {
        }

        public ActiveIssueAttribute(string issue, TestPlatforms platforms, TestRuntimes runtimes)
            : this(issue, (platforms & Platform) != 0 && (runtimes & TestRuntimes.Mono) != 0)
        {
        }

        public ActiveIssueAttribute(string issue, Type calleeType, params string[] conditionMembers)
            : this(issue, conditionMembers.All(member => Conformance.Conditions.Holds(calleeType, member)))
        {
        }

        public ActiveIssueAttribute(int issueNumber, TargetFrameworkMonikers framework)
            : this(issueNumber, TestPlatforms.Any, framework)
        {
        }

        public ActiveIssueAttribute(
            int issueNumber,
            TestPlatforms platforms = TestPlatforms.Any,
            TargetFrameworkMonikers framework = TargetFrameworkMonikers.Any)
            : this(issueNumber, (platforms & Platform) != 0 && (framework & TargetFrameworkMonikers.Netcoreapp) != 0)
        {
        }

        private ActiveIssueAttribute(object issue, bool applies)
        {
            this.issue = issue;
            this.applies = applies;
        }

        string ILeavesOut.Reason => applies ? "known: " + issue : null;
    }

    [AttributeUsage(AttributeTargets.All, AllowMultiple = true)]
    public sealed class OuterLoopAttribute : Attribute
    {
        public OuterLoopAttribute()
        {
        }

        public OuterLoopAttribute(string reason)
        {
        }
    }
}

namespace Xunit.Sdk
{
    [AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
    public abstract class DataAttribute : Attribute
    {
        public string Skip { get; set; }

        public abstract IEnumerable<object[]> GetData(MethodInfo testMethod);
    }
}

namespace Xunit.Abstractions
{
    public interface ITestOutputHelper
    {
        void WriteLine(string message);

        void WriteLine(string format, params object[] args);
    }
}
