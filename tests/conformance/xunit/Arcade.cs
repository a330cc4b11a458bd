// Helpers that dotnet/arcade and dotnet/corefx have beside xunit: checks, processes, where a test runs.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Threading.Tasks;
using Microsoft.DotNet.XUnitExtensions;
using Xunit;
using Xunit.Sdk;

namespace Microsoft.DotNet.XUnitExtensions
{
    public sealed class SkipTestException : Exception
    {
        public SkipTestException(string reason)
            : base(reason)
        {
        }
    }
}

namespace Microsoft.DotNet.RemoteExecutor
{
    public sealed class RemoteInvokeOptions
    {
        public bool Start { get; set; } = true;

        public ProcessStartInfo StartInfo
        {
            get => throw RemoteExecutor.NoProcess();
            set => throw RemoteExecutor.NoProcess();
        }

        public bool EnableProfiling { get; set; }

        public bool CheckExitCode { get; set; } = true;

        public int TimeOut { get; set; }

        public int ExpectedExitCode { get; set; }

        public string ExceptionFile { get; set; }

        public bool RunAsSudo { get; set; }

        public Dictionary<string, string> RuntimeConfigurationOptions { get; } = new();
    }

    public sealed class RemoteInvokeHandle : IDisposable
    {
        public Process Process => throw RemoteExecutor.NoProcess();

        public int ExitCode => RemoteExecutor.SuccessExitCode;

        public void Dispose()
        {
        }
    }

    /// <summary>There are no processes: what would run in one runs at once, in this one.</summary>
    public static class RemoteExecutor
    {
        public const int SuccessExitCode = 42;
        public const int FailWaitTimeoutMilliseconds = 60_000;

        public static bool IsSupported => true;

        public static string Path => throw NoProcess();

        public static string HostRunner => throw NoProcess();

        public static RemoteInvokeHandle Invoke(Action method, RemoteInvokeOptions options = null) =>
            Run(options, method.DynamicInvoke);

        public static RemoteInvokeHandle Invoke(
            Action<string> method, string arg, RemoteInvokeOptions options = null) =>
            Run(options, method.DynamicInvoke, arg);

        public static RemoteInvokeHandle Invoke(
            Action<string, string> method, string arg1, string arg2, RemoteInvokeOptions options = null) =>
            Run(options, method.DynamicInvoke, arg1, arg2);

        public static RemoteInvokeHandle Invoke(
            Action<string, string, string> method,
            string arg1, string arg2, string arg3, RemoteInvokeOptions options = null) =>
            Run(options, method.DynamicInvoke, arg1, arg2, arg3);

        public static RemoteInvokeHandle Invoke(Func<int> method, RemoteInvokeOptions options = null) =>
            Run(options, method.DynamicInvoke);

        public static RemoteInvokeHandle Invoke(
            Func<string, int> method, string arg, RemoteInvokeOptions options = null) =>
            Run(options, method.DynamicInvoke, arg);

        public static RemoteInvokeHandle Invoke(
            Func<string, string, int> method, string arg1, string arg2, RemoteInvokeOptions options = null) =>
            Run(options, method.DynamicInvoke, arg1, arg2);

        public static RemoteInvokeHandle Invoke(
            Func<string, string, string, int> method,
            string arg1, string arg2, string arg3, RemoteInvokeOptions options = null) =>
            Run(options, method.DynamicInvoke, arg1, arg2, arg3);

        public static RemoteInvokeHandle Invoke(
            Func<string, string, string, string, int> method,
            string arg1, string arg2, string arg3, string arg4, RemoteInvokeOptions options = null) =>
            Run(options, method.DynamicInvoke, arg1, arg2, arg3, arg4);

        public static RemoteInvokeHandle Invoke(Func<Task<int>> method, RemoteInvokeOptions options = null) =>
            Run(options, method.DynamicInvoke);

        public static RemoteInvokeHandle Invoke(
            Func<string, Task<int>> method, string arg, RemoteInvokeOptions options = null) =>
            Run(options, method.DynamicInvoke, arg);

        public static RemoteInvokeHandle Invoke(
            Func<string, string, Task<int>> method, string arg1, string arg2, RemoteInvokeOptions options = null) =>
            Run(options, method.DynamicInvoke, arg1, arg2);

        internal static SkipTestException NoProcess() => new("it needs a process");

        private static RemoteInvokeHandle Run(
            RemoteInvokeOptions options, Func<object[], object> method, params object[] arguments)
        {
            if (options != null)
            {
                throw NoProcess();
            }

            var folder = Directory.GetCurrentDirectory();
            try
            {
                var result = method(arguments);
                if (result is Task<int> task)
                {
                    result = task.GetAwaiter().GetResult();
                }

                Assert.Equal(SuccessExitCode, result as int? ?? SuccessExitCode);
            }
            catch (System.Reflection.TargetInvocationException e) when (e.InnerException != null)
            {
                System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(e.InnerException);
            }
            finally
            {
                Directory.SetCurrentDirectory(folder);
            }

            return new RemoteInvokeHandle();
        }
    }
}

namespace System
{
    /// <summary>A browser's Mono with Linux' file system, one thread and no processes.</summary>
    public static class PlatformDetection
    {
        public static bool IsNetCore => true;

        public static bool IsNotNetFramework => true;

        public static bool IsMonoRuntime => true;

        public static bool IsMonoInterpreter => true;

        public static bool IsBrowser => true;

        public static bool IsWasm => true;

        public static bool IsInvariantGlobalization => true;

        public static bool IsNonZeroLowerBoundArraySupported => true;

        public static bool IsReflectionEmitSupported => true;

        public static bool IsInvokingStaticConstructorsSupported => true;

        public static bool IsArgIteratorNotSupported => true;

        public static bool IsNotWindowsNanoServer => true;

        public static bool IsNotWindowsServerCore => true;

        public static bool IsNotWindowsHomeEdition => true;

        public static bool IsNotInAppContainer => true;

        public static bool IsNotOSX => true;

        public static bool IsNotMacOsHighSierraOrHigher => true;

        public static bool IsNotRedHatFamily6 => true;

        public static bool IsNotFedoraOrRedHatFamily => true;

        public static bool IsNotArmProcess => true;

        public static bool IsNotArm64Process => true;

        public static bool IsNotWindowsSubsystemForLinux => true;

        public static bool Is32BitProcess => true;

        public static bool Is64BitProcess => false;

        public static bool IsWindows => false;

        public static bool IsFullFramework => false;

        public static bool IsNetFramework => false;

        public static bool IsNotMonoRuntime => false;

        public static bool IsNotMono => false;

        public static bool IsCoreCLR => false;

        public static bool IsNotBrowser => false;

        public static bool IsThreadingSupported => false;

        public static bool IsMultithreadingSupported => false;

        public static bool IsNotInvariantGlobalization => false;

        public static bool IsIcuGlobalization => false;

        public static bool IsNlsGlobalization => false;

        public static bool IsPreciseGcSupported => false;

        public static bool IsArgIteratorSupported => false;

        public static bool IsNotIntMaxValueArrayIndexSupported => false;

        public static bool IsDrawingSupported => false;

        public static bool IsWindowsNanoServer => false;

        public static bool IsWindows7 => false;

        public static bool IsWindows8x => false;

        public static bool IsWindows8xOrLater => false;

        public static bool IsWindows10Version1607OrGreater => false;

        public static bool IsWindows10Version1703OrGreater => false;

        public static bool IsWindows10Version1709OrGreater => false;

        public static bool IsWindows10Version1803OrGreater => false;

        public static bool IsWindows10Version1903OrGreater => false;

        public static bool IsInAppContainer => false;

        public static bool IsWindowsAndElevated => false;

        public static bool IsWinUISupported => false;

        public static bool IsOSX => false;

        public static bool IsMacOsHighSierraOrHigher => false;

        public static bool IsUbuntu => false;

        public static bool IsUbuntu1404 => false;

        public static bool IsRedHatFamily => false;

        public static bool IsRedHatFamily6 => false;

        public static bool IsFedora => false;

        public static bool IsOpenSUSE => false;

        public static bool IsDebian => false;

        public static bool IsAlpine => false;

        public static bool IsArmProcess => false;

        public static bool IsArm64Process => false;

        public static bool IsInContainer => false;

        public static bool IsSuperUser => false;

        public static bool IsWindowsSubsystemForLinux => false;

        public static bool SupportsSsl3 => false;

        public static bool SupportsAlpn => false;

        public static bool SupportsClientAlpn => false;

        public static int WindowsVersion => -1;

        public static Version OSXVersion => new(99, 0);

        public static Version ICUVersion => new(0, 0);

        public static Version OpenSslVersion => new(0, 0);

        public static string LibcVersion => string.Empty;

        public static string LibcRelease => string.Empty;

        public static string GetDistroVersionString() => "Browser";
    }

    public sealed class ThreadCultureChange : IDisposable
    {
        private readonly CultureInfo culture = CultureInfo.CurrentCulture, uiCulture = CultureInfo.CurrentUICulture;

        public ThreadCultureChange(string cultureName)
            : this(cultureName == null ? null : new CultureInfo(cultureName))
        {
        }

        public ThreadCultureChange(CultureInfo newCulture, CultureInfo newUICulture = null)
        {
            CultureInfo.CurrentCulture = newCulture ?? culture;
            CultureInfo.CurrentUICulture = newUICulture ?? uiCulture;
        }

        public void Dispose() => (CultureInfo.CurrentCulture, CultureInfo.CurrentUICulture) = (culture, uiCulture);
    }

    public static class TestEnvironment
    {
        public static bool IsStressModeEnabled => false;
    }

    public static class RetryHelper
    {
        public static void Execute(
            Action test,
            int maxAttempts = 5,
            Func<int, int> backoffFunc = null,
            Predicate<Exception> retryWhen = null) => test();

        public static Task ExecuteAsync(
            Func<Task> test,
            int maxAttempts = 5,
            Func<int, int> backoffFunc = null,
            Predicate<Exception> retryWhen = null) => test();
    }

    /// <summary>Where a name or type has a second one, it is that of .NET Framework.</summary>
    public static class AssertExtensions
    {
        public delegate void AssertThrowsActionReadOnly<T>(ReadOnlySpan<T> span);

        public delegate void AssertThrowsAction<T>(Span<T> span);

        public static void Throws<T>(Action action, string expectedMessage)
            where T : Exception => Assert.Equal(expectedMessage, Assert.Throws<T>(action).Message);

        public static void ThrowsContains<T>(Action action, string expectedMessageContent)
            where T : Exception => Assert.Contains(expectedMessageContent, Assert.Throws<T>(action).Message);

        public static T Throws<T>(string netCoreParamName, string netFxParamName, Action action)
            where T : ArgumentException => Assert.Throws<T>(netCoreParamName, action);

        public static void Throws<T>(string netCoreParamName, string netFxParamName, Func<object> testCode)
            where T : ArgumentException => Assert.Throws<T>(netCoreParamName, testCode);

        public static T Throws<T>(string paramName, Action action)
            where T : ArgumentException => Assert.Throws<T>(paramName, action);

        public static T Throws<T>(string paramName, Func<object> testCode)
            where T : ArgumentException => Assert.Throws<T>(paramName, testCode);

        public static T Throws<T>(Action action)
            where T : Exception => Assert.Throws<T>(action);

        public static TException Throws<TException, TResult>(Func<TResult> func)
            where TException : Exception => Assert.Throws<TException>(() => (object)func());

        public static Task<T> ThrowsAsync<T>(string paramName, Func<Task> testCode)
            where T : ArgumentException => Assert.ThrowsAsync<T>(paramName, testCode);

        public static void Throws<TNetCore, TNetFx>(string paramName, Action action)
            where TNetCore : ArgumentException
            where TNetFx : Exception => Assert.Throws<TNetCore>(paramName, action);

        public static Exception Throws<TNetCore, TNetFx>(Action action)
            where TNetCore : Exception
            where TNetFx : Exception => Assert.Throws<TNetCore>(action);

        public static Exception Throws(Type netCoreExceptionType, Type netFxExceptionType, Action action) =>
            Assert.Throws(netCoreExceptionType, action);

        public static void Throws<TNetCore, TNetFx>(string netCoreParamName, string netFxParamName, Action action)
            where TNetCore : ArgumentException
            where TNetFx : ArgumentException => Assert.Throws<TNetCore>(netCoreParamName, action);

        public static void ThrowsAny(Type firstExceptionType, Type secondExceptionType, Action action) =>
            OneOf(Record.Exception(action), firstExceptionType, secondExceptionType);

        public static void ThrowsAny<T1, T2>(Action action)
            where T1 : Exception
            where T2 : Exception => OneOf(Record.Exception(action), typeof(T1), typeof(T2));

        public static void ThrowsAny<T1, T2, T3>(Action action)
            where T1 : Exception
            where T2 : Exception
            where T3 : Exception => OneOf(Record.Exception(action), typeof(T1), typeof(T2), typeof(T3));

        public static void ThrowsIf<T>(bool condition, Action action)
            where T : Exception
        {
            if (condition)
            {
                Assert.Throws<T>(action);
            }
            else
            {
                action();
            }
        }

        public static void Contains(string value, string substring) =>
            Assert.Contains(substring, value, StringComparison.Ordinal);

        public static void GreaterThan<T>(T actual, T greaterThan, string userMessage = null)
            where T : IComparable => Compared(Order(actual, greaterThan) > 0, actual, ">", greaterThan, userMessage);

        public static void GreaterThanOrEqualTo<T>(T actual, T greaterThanOrEqualTo, string userMessage = null)
            where T : IComparable =>
            Compared(Order(actual, greaterThanOrEqualTo) >= 0, actual, ">=", greaterThanOrEqualTo, userMessage);

        public static void LessThan<T>(T actual, T lessThan, string userMessage = null)
            where T : IComparable => Compared(Order(actual, lessThan) < 0, actual, "<", lessThan, userMessage);

        public static void LessThanOrEqualTo<T>(T actual, T lessThanOrEqualTo, string userMessage = null)
            where T : IComparable =>
            Compared(Order(actual, lessThanOrEqualTo) <= 0, actual, "<=", lessThanOrEqualTo, userMessage);

        public static void Equal<T>(T[] expected, T[] actual)
            where T : IEquatable<T> => Assert.Equal<IEnumerable<T>>(expected, actual);

        public static void Equal<T>(HashSet<T> expected, HashSet<T> actual) =>
            Assert.True(expected.SetEquals(actual));

        public static void SequenceEqual<T>(ReadOnlySpan<T> expected, ReadOnlySpan<T> actual)
            where T : IEquatable<T> => Assert.Equal<IEnumerable<T>>(expected.ToArray(), actual.ToArray());

        public static void SequenceEqual<T>(Span<T> expected, Span<T> actual)
            where T : IEquatable<T> => Assert.Equal<IEnumerable<T>>(expected.ToArray(), actual.ToArray());

        public static E AssertThrows<E, T>(ReadOnlySpan<T> span, AssertThrowsActionReadOnly<T> action)
            where E : Exception
        {
            Exception thrown = null;
            try
            {
                action(span);
            }
            catch (Exception e)
            {
                thrown = e;
            }

            return (E)OneOf(thrown, typeof(E));
        }

        public static E AssertThrows<E, T>(Span<T> span, AssertThrowsAction<T> action)
            where E : Exception
        {
            Exception thrown = null;
            try
            {
                action(span);
            }
            catch (Exception e)
            {
                thrown = e;
            }

            return (E)OneOf(thrown, typeof(E));
        }

        public static E Throws<E, T>(ReadOnlySpan<T> span, AssertThrowsActionReadOnly<T> action)
            where E : Exception => AssertThrows<E, T>(span, action);

        public static E Throws<E, T>(Span<T> span, AssertThrowsAction<T> action)
            where E : Exception => AssertThrows<E, T>(span, action);

        private static Exception OneOf(Exception thrown, params Type[] types) =>
            types.Contains(thrown?.GetType()) ? thrown : throw new ThrowsException(types[0], thrown);

        private static int Order<T>(T left, T right)
            where T : IComparable => left == null ? (right == null ? 0 : -1) : left.CompareTo(right);

        private static void Compared<T>(bool isRight, T actual, string relation, T other, string userMessage) =>
            Assert.Check(isRight, $"{userMessage} {Conformance.Text.Of(actual)} is not {relation} {other}");
    }
}

namespace System.Buffers
{
    public enum PoisonPagePlacement
    {
        After,
        Before,
    }

    public static class BoundedMemory
    {
        public static BoundedMemory<T> Allocate<T>(
            int elementCount, PoisonPagePlacement placement = PoisonPagePlacement.After)
            where T : unmanaged => new(GC.AllocateArray<T>(elementCount, pinned: true));

        public static BoundedMemory<T> AllocateFromExistingData<T>(
            ReadOnlySpan<T> data, PoisonPagePlacement placement = PoisonPagePlacement.After)
            where T : unmanaged
        {
            var memory = Allocate<T>(data.Length);
            data.CopyTo(memory.Span);
            return memory;
        }

        public static BoundedMemory<T> AllocateFromExistingData<T>(
            T[] data, PoisonPagePlacement placement = PoisonPagePlacement.After)
            where T : unmanaged => AllocateFromExistingData(new ReadOnlySpan<T>(data), placement);
    }

    /// <summary>There are no pages to protect: ordinary memory.</summary>
    public sealed class BoundedMemory<T> : IDisposable
        where T : unmanaged
    {
        private readonly T[] data;

        internal BoundedMemory(T[] data) => this.data = data;

        public bool IsReadonly { get; private set; }

        public int Length => data.Length;

        public Memory<T> Memory => data;

        public Span<T> Span => data;

        public void MakeReadonly() => IsReadonly = true;

        public void MakeWriteable() => IsReadonly = false;

        public void Dispose()
        {
        }
    }
}

namespace System.IO
{
    public abstract class FileCleanupTestBase : IDisposable
    {
        protected FileCleanupTestBase()
        {
            TestDirectory = Path.Combine(Path.GetTempPath(), GetType().Name + "_" + Unique());
            Directory.CreateDirectory(TestDirectory);
        }

        protected string TestDirectory { get; }

        public void Dispose()
        {
            Dispose(true);
            GC.SuppressFinalize(this);
        }

        protected virtual void Dispose(bool disposing)
        {
            try
            {
                Directory.Delete(TestDirectory, true);
            }
            catch (Exception)
            {
                // It is a folder of a file system that goes with the guest.
            }
        }

        protected string GetTestFilePath(
            int? index = null,
            [CallerMemberName] string memberName = null,
            [CallerLineNumber] int lineNumber = 0) =>
            Path.Combine(TestDirectory, GetTestFileName(index, memberName, lineNumber));

        protected string GetTestFileName(
            int? index = null,
            [CallerMemberName] string memberName = null,
            [CallerLineNumber] int lineNumber = 0) => $"T{index}_{memberName}_{lineNumber}_{Unique()}";

        private static string Unique() => Guid.NewGuid().ToString("N").Substring(0, 8);
    }

    public static class AdminHelpers
    {
        public static int RunAsSudo(string commandLine) => throw new SkipTestException("it needs a process");

        public static bool IsProcessElevated() => false;
    }
}
