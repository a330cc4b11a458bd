// Finds the tests of an assembly and runs them when the host asks for it.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.Linq;
using System.Reflection;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.DotNet.XUnitExtensions;
using MinimalRuntime;
using Xunit;

namespace Conformance
{
    /// <summary>
    /// The hosted function. "list" or "list outer" answers a line for each test; "count TEST" how many cases a
    /// test has; "run TEST FIRST END" a line for each of these cases. Lines are JSON.
    /// </summary>
    public abstract class Tests : IAsyncFunctionHandler
    {
        private List<Test> tests;

        public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken cancellationToken)
        {
            tests ??= Find(GetType().Assembly);
            var words = Encoding.UTF8.GetString(input.Span).Split(' ');
            var answer = new StringBuilder();
            if (words[0] == "list")
            {
                for (var number = 0; number < tests.Count; number++)
                {
                    tests[number].Describe(answer, number, words.Length > 1);
                }

                return Encoding.UTF8.GetBytes(answer.ToString());
            }

            var test = tests[int.Parse(words[1], CultureInfo.InvariantCulture)];
            if (words[0] == "count")
            {
                answer.Append(test.Count());
            }
            else
            {
                await test.Run(
                    answer,
                    int.Parse(words[2], CultureInfo.InvariantCulture),
                    int.Parse(words[3], CultureInfo.InvariantCulture));
            }

            return Encoding.UTF8.GetBytes(answer.ToString());
        }

        private static List<Test> Find(Assembly assembly)
        {
            const BindingFlags Any = BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public
                | BindingFlags.NonPublic | BindingFlags.FlattenHierarchy;
            Type[] types;
            try
            {
                types = assembly.GetTypes();
            }
            catch (ReflectionTypeLoadException e)
            {
                types = e.Types.Where(type => type != null).ToArray();
            }

            var found = new List<Test>();
            var classes = types.Where(type => type.IsVisible && type.IsClass && !type.ContainsGenericParameters
                && (!type.IsAbstract || type.IsSealed));
            foreach (var type in classes.OrderBy(type => type.FullName, StringComparer.Ordinal))
            {
                var seen = new HashSet<string>();
                foreach (var method in type.GetMethods(Any))
                {
                    if (FactOf(method) is { } fact && seen.Add(method.ToString()))
                    {
                        found.Add(new Test(type, method, fact));
                    }
                }
            }

            return found;
        }

        private static FactAttribute FactOf(MethodInfo method)
        {
            try
            {
                return method.GetCustomAttributes(true).OfType<FactAttribute>().FirstOrDefault();
            }
            catch (Exception)
            {
                return null; // an attribute of something that was cut out
            }
        }
    }

    internal static class Conditions
    {
        public static bool Holds(Type type, string member)
        {
            const BindingFlags Static = BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic
                | BindingFlags.FlattenHierarchy;
            for (var owner = type; owner != null; owner = owner.BaseType ?? owner.DeclaringType)
            {
                var value = owner.GetProperty(member, Static)?.GetValue(null)
                    ?? owner.GetField(member, Static)?.GetValue(null)
                    ?? owner.GetMethod(member, Static, null, Type.EmptyTypes, null)?.Invoke(null, null);
                if (value is bool holds)
                {
                    return holds;
                }
            }

            throw new ArgumentException($"{type} has no condition {member}");
        }
    }

    /// <summary>A method with its cases.</summary>
    internal sealed class Test
    {
        private const int LongestMessage = 1500, LongestLine = 200, MostFrames = 8;
        private static readonly Dictionary<Type, object> Fixtures = new();
        private readonly Type type;
        private readonly MethodInfo method;
        private readonly FactAttribute fact;
        private List<object[]> rows;

        public Test(Type type, MethodInfo method, FactAttribute fact)
        {
            this.type = type;
            this.method = method;
            this.fact = fact;
        }

        private string Name => type.FullName + "." + method.Name;

        public void Describe(StringBuilder answer, int number, bool withOuterLoop)
        {
            string reason;
            try
            {
                reason = WhyLeftOut(withOuterLoop);
            }
            catch (Exception e)
            {
                reason = "its conditions fail: " + Innermost(e).Message;
            }

            answer.Append("{\"test\":").Append(number).Append(",\"name\":").Append(Json(Name));
            if (reason != null)
            {
                answer.Append(",\"skip\":").Append(Json(reason));
            }

            answer.Append("}\n");
        }

        public int Count() => Rows().Count;

        public async Task Run(StringBuilder answer, int first, int end)
        {
            List<object[]> all;
            try
            {
                all = Rows();
            }
            catch (Exception e)
            {
                Answer(answer, 0, "fail", "its data fail: " + Message(e), 0);
                return;
            }

            for (var index = first; index < Math.Min(all.Count, end); index++)
            {
                var (culture, uiCulture) = (CultureInfo.CurrentCulture, CultureInfo.CurrentUICulture);
                var clock = Stopwatch.StartNew();
                var (outcome, message) = ("pass", default(string));
                try
                {
                    await RunCase(all[index]);
                }
                catch (SkipTestException e)
                {
                    (outcome, message) = ("skip", e.Message);
                }
                catch (PlatformNotSupportedException e) when (e.Message.StartsWith("BinaryFormatter"))
                {
                    (outcome, message) = ("skip", "removed in .NET 9: BinaryFormatter");
                }
                catch (Exception e)
                {
                    var arguments = string.Join(", ", all[index].Select(value => Text.Of(value)));
                    (outcome, message) = ("fail", $"({arguments}) {Message(e)}");
                }

                (CultureInfo.CurrentCulture, CultureInfo.CurrentUICulture) = (culture, uiCulture);
                Answer(answer, index, outcome, message, clock.ElapsedMilliseconds);
            }
        }

        private string WhyLeftOut(bool withOuterLoop)
        {
            if (fact.Skip != null)
            {
                return fact.Skip;
            }

            foreach (var attribute in method.GetCustomAttributes(true).Concat(type.GetCustomAttributes(true)))
            {
                if (attribute is OuterLoopAttribute && !withOuterLoop)
                {
                    return "outer loop";
                }

                if (attribute is ILeavesOut { Reason: { } reason })
                {
                    return reason;
                }

                if (attribute is ICondition condition
                    && Array.Find(condition.Members, m => !Conditions.Holds(condition.Owner ?? type, m)) is { } not)
                {
                    return "not " + not;
                }
            }

            return null;
        }

        private List<object[]> Rows()
        {
            if (rows == null)
            {
                var found = new List<object[]>();
                if (fact is not TheoryAttribute)
                {
                    found.Add(Array.Empty<object>());
                }
                else
                {
                    foreach (var data in method.GetCustomAttributes(true).OfType<Xunit.Sdk.DataAttribute>())
                    {
                        found.AddRange(data.GetData(method) ?? Array.Empty<object[]>());
                    }
                }

                rows = found;
            }

            return rows;
        }

        private async Task RunCase(object[] arguments)
        {
            var target = Arguments.Constructed(method, arguments);
            var values = Arguments.For(target.GetParameters(), arguments);
            var instance = target.IsStatic ? null : Create();
            try
            {
                if (instance is IAsyncLifetime begun)
                {
                    await begun.InitializeAsync();
                }

                switch (target.Invoke(instance, BindingFlags.DoNotWrapExceptions, null, values, null))
                {
                    case Task task:
                        await task;
                        break;
                    case ValueTask task:
                        await task;
                        break;
                }
            }
            finally
            {
                if (instance is IAsyncLifetime ended)
                {
                    await ended.DisposeAsync();
                }

                (instance as IDisposable)?.Dispose();
            }
        }

        private object Create()
        {
            var constructor = type.GetConstructors().OrderByDescending(c => c.GetParameters().Length).First();
            var values = constructor.GetParameters().Select(p => Fixture(p.ParameterType)).ToArray();
            return constructor.Invoke(BindingFlags.DoNotWrapExceptions, null, values, null);
        }

        private static object Fixture(Type type)
        {
            if (type == typeof(Xunit.Abstractions.ITestOutputHelper))
            {
                return new Silent();
            }

            if (!Fixtures.TryGetValue(type, out var fixture))
            {
                Fixtures[type] = fixture = Activator.CreateInstance(type);
            }

            return fixture;
        }

        private void Answer(StringBuilder answer, int index, string outcome, string message, long milliseconds)
        {
            answer.Append("{\"case\":").Append(Json($"{Name}#{index}")).Append(",\"outcome\":\"").Append(outcome);
            answer.Append("\",\"ms\":").Append(milliseconds.ToString(CultureInfo.InvariantCulture));
            if (message != null)
            {
                answer.Append(",\"message\":").Append(Json(message));
            }

            answer.Append("}\n");
        }

        private static Exception Innermost(Exception e)
        {
            while (e is TargetInvocationException && e.InnerException != null)
            {
                e = e.InnerException;
            }

            return e;
        }

        private static string Message(Exception e)
        {
            e = Innermost(e);
            var text = $"{e.GetType().FullName}: {e.Message}";
            for (var inner = e.InnerException; inner != null; inner = inner.InnerException)
            {
                text += $" <- {inner.GetType().FullName}: {inner.Message}";
            }

            var frames = (e.StackTrace ?? string.Empty).Split('\n').Take(MostFrames);
            return Shortened(text, LongestMessage) + "\n"
                + string.Join("\n", frames.Select(frame => Shortened(frame, LongestLine)));
        }

        private static string Shortened(string text, int length) =>
            text.Length <= length ? text : text.Substring(0, length) + "...";

        private static string Json(string text)
        {
            var quoted = new StringBuilder("\"");
            foreach (var c in text)
            {
                if (c is '"' or '\\')
                {
                    quoted.Append('\\').Append(c);
                }
                else if (c is >= ' ' and <= '~')
                {
                    quoted.Append(c);
                }
                else
                {
                    quoted.Append("\\u").Append(((int)c).ToString("x4", CultureInfo.InvariantCulture));
                }
            }

            return quoted.Append('"').ToString();
        }

        private sealed class Silent : Xunit.Abstractions.ITestOutputHelper
        {
            public void WriteLine(string message)
            {
            }

            public void WriteLine(string format, params object[] args)
            {
            }
        }
    }

    /// <summary>The values of a case, as the method takes them.</summary>
    internal static class Arguments
    {
        /// <summary>A generic method with type arguments that the values say.</summary>
        public static MethodInfo Constructed(MethodInfo method, object[] values)
        {
            if (!method.IsGenericMethodDefinition)
            {
                return method;
            }

            var parameters = method.GetParameters();
            Type Inferred(Type wanted) =>
                parameters.Zip(values)
                    .Select(pair => pair.Second == null
                        ? null
                        : Matched(pair.First.ParameterType, pair.Second.GetType(), wanted))
                    .FirstOrDefault(type => type != null) ?? typeof(object);
            return method.MakeGenericMethod(method.GetGenericArguments().Select(Inferred).ToArray());
        }

        public static object[] For(ParameterInfo[] parameters, object[] values)
        {
            var last = parameters.Length - 1;
            var takesMore = last >= 0 && parameters[last].IsDefined(typeof(ParamArrayAttribute), false);
            if (values.Length > parameters.Length && !takesMore)
            {
                throw new ArgumentException($"{values.Length} arguments for {parameters.Length} parameters");
            }

            var fitted = new object[parameters.Length];
            for (var index = 0; index < fitted.Length; index++)
            {
                var wanted = parameters[index].ParameterType;
                if (takesMore && index == last && !IsWhole(wanted, values, last))
                {
                    fitted[index] = Rest(wanted.GetElementType(), values.Skip(last).ToArray());
                }
                else if (index < values.Length)
                {
                    fitted[index] = Converted(wanted, values[index]);
                }
                else if (parameters[index].HasDefaultValue)
                {
                    fitted[index] = parameters[index].DefaultValue;
                }
                else
                {
                    throw new ArgumentException("no argument for " + parameters[index].Name);
                }
            }

            return fitted;
        }

        private static bool IsWhole(Type wanted, object[] values, int last) =>
            values.Length == last + 1 && (values[last] == null || wanted.IsInstanceOfType(values[last]));

        private static Array Rest(Type element, object[] values)
        {
            var array = Array.CreateInstance(element, values.Length);
            for (var index = 0; index < values.Length; index++)
            {
                array.SetValue(Converted(element, values[index]), index);
            }

            return array;
        }

        private static Type Matched(Type declared, Type actual, Type wanted)
        {
            if (declared == wanted)
            {
                return actual;
            }

            if (declared.IsArray && actual.IsArray)
            {
                return Matched(declared.GetElementType(), actual.GetElementType(), wanted);
            }

            if (!declared.IsGenericType)
            {
                return null;
            }

            var definition = declared.GetGenericTypeDefinition();
            if (definition == typeof(Nullable<>))
            {
                return Matched(declared.GetGenericArguments()[0], actual, wanted);
            }

            var bases = new List<Type>();
            for (var type = actual; type != null; type = type.BaseType)
            {
                bases.Add(type);
            }

            var same = bases.Concat(actual.GetInterfaces())
                .FirstOrDefault(type => type.IsGenericType && type.GetGenericTypeDefinition() == definition);
            return same == null
                ? null
                : declared.GetGenericArguments().Zip(same.GetGenericArguments())
                    .Select(pair => Matched(pair.First, pair.Second, wanted))
                    .FirstOrDefault(type => type != null);
        }

        private static object Converted(Type wanted, object value)
        {
            var target = Nullable.GetUnderlyingType(wanted) ?? wanted;
            if (value == null || target.IsInstanceOfType(value))
            {
                return value;
            }

            switch (value)
            {
                case string text when target == typeof(DateTime):
                    return DateTime.Parse(text, CultureInfo.InvariantCulture);
                case string text when target == typeof(DateTimeOffset):
                    return DateTimeOffset.Parse(text, CultureInfo.InvariantCulture);
                case string text when target == typeof(Guid):
                    return Guid.Parse(text);
                case char c when target == typeof(string):
                    return c.ToString();
            }

            var actual = value.GetType();
            if (IsNumber(target) && IsNumber(actual))
            {
                return Convert.ChangeType(value, target, CultureInfo.InvariantCulture);
            }

            var conversion = new[] { target, actual }
                .SelectMany(owner => owner.GetMethods(BindingFlags.Static | BindingFlags.Public))
                .FirstOrDefault(m => m.Name is "op_Implicit" or "op_Explicit"
                    && m.ReturnType == target && m.GetParameters()[0].ParameterType == actual);
            return conversion == null ? value : conversion.Invoke(null, new[] { value });
        }

        private static bool IsNumber(Type type) =>
            type.IsPrimitive && type != typeof(bool) && type != typeof(IntPtr) && type != typeof(UIntPtr);
    }
}
