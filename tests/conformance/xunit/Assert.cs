// Assert and Record of xunit 2, as far as .NET's library tests use them.
using System;
using System.Collections;
using System.Collections.Generic;
using System.ComponentModel;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Conformance;

namespace Xunit
{
    public static class Record
    {
        public static Exception Exception(Action testCode) =>
            Exception(() =>
            {
                testCode();
                return null;
            });

        public static Exception Exception(Func<object> testCode)
        {
            try
            {
                testCode();
                return null;
            }
            catch (Exception e)
            {
                return e;
            }
        }

        public static async Task<Exception> ExceptionAsync(Func<Task> testCode)
        {
            try
            {
                await testCode();
                return null;
            }
            catch (Exception e)
            {
                return e;
            }
        }
    }

    public partial class Assert
    {
        protected Assert()
        {
        }

        public static void True(bool condition) => True((bool?)condition, null);

        public static void True(bool? condition) => True(condition, null);

        public static void True(bool condition, string userMessage) => True((bool?)condition, userMessage);

        public static void True(bool? condition, string userMessage) =>
            Check(condition == true, userMessage ?? "expected true");

        public static void False(bool condition) => False((bool?)condition, null);

        public static void False(bool? condition) => False(condition, null);

        public static void False(bool condition, string userMessage) => False((bool?)condition, userMessage);

        public static void False(bool? condition, string userMessage) =>
            Check(condition == false, userMessage ?? "expected false");

        public static void Fail(string message) => Check(false, message);

        public static void Null(object @object) => Check(@object == null, $"Null: {Text.Of(@object)}");

        public static void NotNull(object @object) => Check(@object != null, "expected not null");

        public static void Same(object expected, object actual) =>
            Compare(ReferenceEquals(expected, actual), "Same", expected, actual);

        public static void NotSame(object expected, object actual) =>
            Compare(!ReferenceEquals(expected, actual), "NotSame", expected, actual);

        public static void Equal<T>(T expected, T actual) => Equal(expected, actual, Equality<T>.Default);

        public static void Equal<T>(T expected, T actual, IEqualityComparer<T> comparer) =>
            Compare(comparer.Equals(expected, actual), "Equal", expected, actual);

        public static void Equal<T>(IEnumerable<T> expected, IEnumerable<T> actual) =>
            Compare(Equality<IEnumerable<T>>.Default.Equals(expected, actual), "Equal", expected, actual);

        public static void Equal<T>(IEnumerable<T> expected, IEnumerable<T> actual, IEqualityComparer<T> comparer)
        {
            var isSame = expected == null || actual == null
                ? ReferenceEquals(expected, actual)
                : expected.SequenceEqual(actual, comparer);
            Compare(isSame, "Equal", expected, actual);
        }

        public static void Equal(double expected, double actual, int precision) =>
            Compare(
                Math.Round(expected, precision).Equals(Math.Round(actual, precision)),
                "Equal, rounded", expected, actual);

        public static void Equal(decimal expected, decimal actual, int precision) =>
            Compare(
                Math.Round(expected, precision) == Math.Round(actual, precision),
                "Equal, rounded", expected, actual);

        public static void Equal(DateTime expected, DateTime actual, TimeSpan precision) =>
            Compare((expected - actual).Duration() <= precision, "Equal, nearly", expected, actual);

        public static void Equal(string expected, string actual) => Equal(expected, actual, false);

        public static void Equal(
            string expected,
            string actual,
            bool ignoreCase = false,
            bool ignoreLineEndingDifferences = false,
            bool ignoreWhiteSpaceDifferences = false)
        {
            string Reduced(string text)
            {
                if (text != null && ignoreLineEndingDifferences)
                {
                    text = text.Replace("\r\n", "\n").Replace('\r', '\n');
                }

                return text != null && ignoreWhiteSpaceDifferences ? Regex.Replace(text, "[ \t]+", " ") : text;
            }

            var how = ignoreCase ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal;
            Compare(string.Equals(Reduced(expected), Reduced(actual), how), "Equal", expected, actual);
        }

        public static void NotEqual<T>(T expected, T actual) => NotEqual(expected, actual, Equality<T>.Default);

        public static void NotEqual<T>(T expected, T actual, IEqualityComparer<T> comparer) =>
            Compare(!comparer.Equals(expected, actual), "NotEqual", expected, actual);

        public static void NotEqual<T>(IEnumerable<T> expected, IEnumerable<T> actual) =>
            Compare(!Equality<IEnumerable<T>>.Default.Equals(expected, actual), "NotEqual", expected, actual);

        public static void StrictEqual<T>(T expected, T actual) =>
            Compare(EqualityComparer<T>.Default.Equals(expected, actual), "StrictEqual", expected, actual);

        public static void NotStrictEqual<T>(T expected, T actual) =>
            Compare(!EqualityComparer<T>.Default.Equals(expected, actual), "NotStrictEqual", expected, actual);

        public static void InRange<T>(T actual, T low, T high)
            where T : IComparable =>
            Check(IsBetween(actual, low, high), $"InRange: {Text.Of(actual)} is not in {low} to {high}");

        public static void NotInRange<T>(T actual, T low, T high)
            where T : IComparable =>
            Check(!IsBetween(actual, low, high), $"NotInRange: {Text.Of(actual)} is in {low} to {high}");

        public static void Empty(IEnumerable collection) =>
            Check(!AnyIn(collection), $"Empty: {Text.Of(collection)}");

        public static void NotEmpty(IEnumerable collection) => Check(AnyIn(collection), "NotEmpty: it is empty");

        public static void Contains<T>(T expected, IEnumerable<T> collection) =>
            Compare(
                (collection is ICollection<T> known && known.Contains(expected))
                    || collection.Contains(expected, Equality<T>.Default),
                "Contains", expected, collection);

        public static void Contains<T>(T expected, IEnumerable<T> collection, IEqualityComparer<T> comparer) =>
            Compare(collection.Contains(expected, comparer), "Contains", expected, collection);

        public static void Contains<T>(IEnumerable<T> collection, Predicate<T> filter) =>
            Check(collection.Any(item => filter(item)), $"Contains: nothing matches in {Text.Of(collection)}");

        public static void Contains(string expectedSubstring, string actualString) =>
            Contains(expectedSubstring, actualString, StringComparison.CurrentCulture);

        public static void Contains(string expectedSubstring, string actualString, StringComparison comparisonType) =>
            Compare(
                actualString != null && actualString.IndexOf(expectedSubstring, comparisonType) >= 0,
                "Contains", expectedSubstring, actualString);

        public static void DoesNotContain<T>(T expected, IEnumerable<T> collection) =>
            Compare(
                !collection.Contains(expected, Equality<T>.Default), "DoesNotContain", expected, collection);

        public static void DoesNotContain<T>(IEnumerable<T> collection, Predicate<T> filter) =>
            Check(!collection.Any(item => filter(item)), $"DoesNotContain: {Text.Of(collection)}");

        public static void DoesNotContain(string expectedSubstring, string actualString) =>
            DoesNotContain(expectedSubstring, actualString, StringComparison.CurrentCulture);

        public static void DoesNotContain(
            string expectedSubstring, string actualString, StringComparison comparisonType) =>
            Compare(
                actualString == null || actualString.IndexOf(expectedSubstring, comparisonType) < 0,
                "DoesNotContain", expectedSubstring, actualString);

        public static void StartsWith(string expectedStartString, string actualString) =>
            StartsWith(expectedStartString, actualString, StringComparison.CurrentCulture);

        public static void StartsWith(
            string expectedStartString, string actualString, StringComparison comparisonType) =>
            Compare(
                actualString != null && actualString.StartsWith(expectedStartString, comparisonType),
                "StartsWith", expectedStartString, actualString);

        public static void EndsWith(string expectedEndString, string actualString) =>
            EndsWith(expectedEndString, actualString, StringComparison.CurrentCulture);

        public static void EndsWith(
            string expectedEndString, string actualString, StringComparison comparisonType) =>
            Compare(
                actualString != null && actualString.EndsWith(expectedEndString, comparisonType),
                "EndsWith", expectedEndString, actualString);

        public static void Matches(string expectedRegexPattern, string actualString) =>
            Matches(new Regex(expectedRegexPattern), actualString);

        public static void Matches(Regex expectedRegex, string actualString) =>
            Compare(
                actualString != null && expectedRegex.IsMatch(actualString),
                "Matches", expectedRegex.ToString(), actualString);

        public static void DoesNotMatch(string expectedRegexPattern, string actualString) =>
            DoesNotMatch(new Regex(expectedRegexPattern), actualString);

        public static void DoesNotMatch(Regex expectedRegex, string actualString) =>
            Compare(
                actualString == null || !expectedRegex.IsMatch(actualString),
                "DoesNotMatch", expectedRegex.ToString(), actualString);

        public static object Single(IEnumerable collection) => Single(collection.Cast<object>());

        public static void Single(IEnumerable collection, object expected) => Equal(expected, Single(collection));

        public static T Single<T>(IEnumerable<T> collection, Predicate<T> predicate) =>
            Single(collection.Where(item => predicate(item)));

        public static T Single<T>(IEnumerable<T> collection)
        {
            var items = collection.Take(2).ToArray();
            Check(items.Length == 1, $"Single: {Text.Of(collection)}");
            return items[0];
        }

        public static void All<T>(IEnumerable<T> collection, Action<T> action)
        {
            var items = collection.ToArray();
            for (var index = 0; index < items.Length; index++)
            {
                if (Record.Exception(() => action(items[index])) is { } wrong)
                {
                    throw new Sdk.XunitException($"All: item {index}, {Text.Of(items[index])}: {wrong}", wrong);
                }
            }
        }

        public static void Collection<T>(IEnumerable<T> collection, params Action<T>[] elementInspectors)
        {
            var items = collection.ToArray();
            Compare(items.Length == elementInspectors.Length, "Collection", elementInspectors.Length, items.Length);
            for (var index = 0; index < items.Length; index++)
            {
                elementInspectors[index](items[index]);
            }
        }

        public static void Subset<T>(ISet<T> expectedSuperset, ISet<T> actual) =>
            Compare(actual?.IsSubsetOf(expectedSuperset) == true, "Subset", expectedSuperset, actual);

        public static void Superset<T>(ISet<T> expectedSubset, ISet<T> actual) =>
            Compare(actual?.IsSupersetOf(expectedSubset) == true, "Superset", expectedSubset, actual);

        public static void ProperSubset<T>(ISet<T> expectedSuperset, ISet<T> actual) =>
            Compare(actual?.IsProperSubsetOf(expectedSuperset) == true, "ProperSubset", expectedSuperset, actual);

        public static void ProperSuperset<T>(ISet<T> expectedSubset, ISet<T> actual) =>
            Compare(actual?.IsProperSupersetOf(expectedSubset) == true, "ProperSuperset", expectedSubset, actual);

        public static T IsType<T>(object @object)
        {
            IsType(typeof(T), @object);
            return (T)@object;
        }

        public static void IsType(Type expectedType, object @object) =>
            Compare(@object?.GetType() == expectedType, "IsType", expectedType, @object?.GetType());

        public static void IsNotType<T>(object @object) => IsNotType(typeof(T), @object);

        public static void IsNotType(Type expectedType, object @object) =>
            Check(@object?.GetType() != expectedType, $"IsNotType: {expectedType}");

        public static T IsAssignableFrom<T>(object @object)
        {
            IsAssignableFrom(typeof(T), @object);
            return (T)@object;
        }

        public static void IsAssignableFrom(Type expectedType, object @object) =>
            Compare(
                expectedType.IsInstanceOfType(@object), "IsAssignableFrom", expectedType, @object?.GetType());

        public static T Throws<T>(Action testCode)
            where T : Exception => (T)Throws(typeof(T), testCode);

        public static T Throws<T>(Func<object> testCode)
            where T : Exception => (T)Throws(typeof(T), testCode);

        public static Exception Throws(Type exceptionType, Action testCode) =>
            Exactly(exceptionType, Record.Exception(testCode));

        public static Exception Throws(Type exceptionType, Func<object> testCode) =>
            Exactly(exceptionType, Record.Exception(testCode));

        public static T Throws<T>(string paramName, Action testCode)
            where T : ArgumentException => About(paramName, Throws<T>(testCode));

        public static T Throws<T>(string paramName, Func<object> testCode)
            where T : ArgumentException => About(paramName, Throws<T>(testCode));

        public static T ThrowsAny<T>(Action testCode)
            where T : Exception => (T)Kind(typeof(T), Record.Exception(testCode));

        public static T ThrowsAny<T>(Func<object> testCode)
            where T : Exception => (T)Kind(typeof(T), Record.Exception(testCode));

        public static async Task<T> ThrowsAsync<T>(Func<Task> testCode)
            where T : Exception => (T)await ThrowsAsync(typeof(T), testCode);

        public static async Task<Exception> ThrowsAsync(Type exceptionType, Func<Task> testCode) =>
            Exactly(exceptionType, await Record.ExceptionAsync(testCode));

        public static async Task<T> ThrowsAsync<T>(string paramName, Func<Task> testCode)
            where T : ArgumentException => About(paramName, await ThrowsAsync<T>(testCode));

        public static async Task<T> ThrowsAnyAsync<T>(Func<Task> testCode)
            where T : Exception => (T)Kind(typeof(T), await Record.ExceptionAsync(testCode));

        public static void PropertyChanged(INotifyPropertyChanged @object, string propertyName, Action testCode)
        {
            var isSeen = false;
            void Note(object sender, PropertyChangedEventArgs change) =>
                isSeen |= string.IsNullOrEmpty(change.PropertyName) || change.PropertyName == propertyName;
            @object.PropertyChanged += Note;
            try
            {
                testCode();
                Check(isSeen, $"PropertyChanged: {propertyName} did not");
            }
            finally
            {
                @object.PropertyChanged -= Note;
            }
        }

        public static RaisedEvent<T> Raises<T>(
            Action<EventHandler<T>> attach, Action<EventHandler<T>> detach, Action testCode)
            where T : EventArgs
        {
            RaisedEvent<T> raised = null;
            void Note(object sender, T arguments) => raised = new RaisedEvent<T>(sender, arguments);
            attach(Note);
            testCode();
            detach(Note);
            Check(raised != null, "Raises: no event");
            return raised;
        }

        internal static void Check(bool isRight, string message)
        {
            if (!isRight)
            {
                throw new Sdk.XunitException(message);
            }
        }

        // What went wrong is put into words only when it did.
        private static void Compare<TExpected, TActual>(
            bool isRight, string what, TExpected expected, TActual actual)
        {
            if (!isRight)
            {
                throw new Sdk.EqualException($"{what}: expected {Text.Of(expected)}, actual {Text.Of(actual)}");
            }
        }

        private static bool IsBetween<T>(T actual, T low, T high)
            where T : IComparable => actual.CompareTo(low) >= 0 && actual.CompareTo(high) <= 0;

        private static bool AnyIn(IEnumerable collection)
        {
            var items = (collection ?? throw new ArgumentNullException(nameof(collection))).GetEnumerator();
            using (items as IDisposable)
            {
                return items.MoveNext();
            }
        }

        private static Exception Exactly(Type expected, Exception actual) =>
            actual?.GetType() == expected ? actual : throw new Sdk.ThrowsException(expected, actual);

        private static Exception Kind(Type expected, Exception actual) =>
            expected.IsInstanceOfType(actual) ? actual : throw new Sdk.ThrowsException(expected, actual);

        private static T About<T>(string paramName, T exception)
            where T : ArgumentException
        {
            Compare(exception.ParamName == paramName, "ParamName", paramName, exception.ParamName);
            return exception;
        }

        public sealed record RaisedEvent<T>(object Sender, T Arguments);
    }
}

namespace Xunit.Sdk
{
    public class XunitException : Exception
    {
        public XunitException()
        {
        }

        public XunitException(string userMessage)
            : base(userMessage)
        {
        }

        public XunitException(string userMessage, Exception innerException)
            : base(userMessage, innerException)
        {
        }
    }

    public class AssertActualExpectedException : XunitException
    {
        public AssertActualExpectedException(object expected, object actual, string userMessage)
            : base($"{userMessage}: expected {Text.Of(expected)}, actual {Text.Of(actual)}")
        {
        }
    }

    public class EqualException : XunitException
    {
        public EqualException(string message)
            : base(message)
        {
        }

        public EqualException(object expected, object actual)
            : base($"Equal: expected {Text.Of(expected)}, actual {Text.Of(actual)}")
        {
        }
    }

    public class NotEqualException : XunitException
    {
        public NotEqualException(string expected, string actual)
            : base($"NotEqual: {expected}, {actual}")
        {
        }
    }

    public class TrueException : XunitException
    {
        public TrueException(string userMessage, bool? value)
            : base(userMessage)
        {
        }
    }

    public class ThrowsException : XunitException
    {
        public ThrowsException(Type expectedType)
            : this(expectedType, null)
        {
        }

        public ThrowsException(Type expectedType, Exception actual)
            : base($"expected to throw {expectedType}, actual {actual?.ToString() ?? "nothing"}", actual)
        {
        }
    }

    public class EmptyException : XunitException
    {
        public EmptyException(IEnumerable collection)
            : base($"Empty: {Text.Of(collection)}")
        {
        }
    }

    public class ContainsException : XunitException
    {
        public ContainsException(object expected, object actual)
            : base($"Contains: expected {Text.Of(expected)}, actual {Text.Of(actual)}")
        {
        }
    }
}
