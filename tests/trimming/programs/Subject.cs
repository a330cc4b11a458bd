// A library that is trimmed. Members whose names start with "Unused" must go, all others must stay.
using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Subject;

public class UnusedType { public void UnusedMethod() { } }

public sealed class Layout
{
    public int Written;
    private long never = 5;
    public int Size() => Unsafe.SizeOf<LayoutShape>();

    public void UnusedMethod() => this.Written++;
}

[StructLayout(LayoutKind.Explicit, Size = 24)]
public struct LayoutShape
{
    [FieldOffset(0)] public int First;
    [FieldOffset(16)] public int Last;
}

public abstract class Animal
{
    public abstract string Speak();

    public virtual string UnusedVirtual() => "unused";
}

public sealed class Dog : Animal
{
    public override string Speak() => "woof";

    public override string UnusedVirtual() => "unused";
}

public class NeverMade : Animal
{
    public override string Speak() => "UnusedOverride";

    public static string Name() => "static";
}

public interface IShape
{
    double Area();

    string Describe() => "default " + this.Area();

    void UnusedInterfaceMethod() { }
}

public sealed class Square : IShape
{
    public double Area() => 4;
}

public sealed class Circle : IShape
{
    double IShape.Area() => 3;

    string IShape.Describe() => "explicit";
}

public interface IUnusedInterface { void UnusedMember(); }

public sealed class Both : IShape, IUnusedInterface
{
    public double Area() => 1;

    public void UnusedMember() { }
}

public interface IParser<T>
    where T : IParser<T>
{
    static abstract T Parse(string text);

    static virtual string Kind() => "any";
}

public readonly struct Meters : IParser<Meters>
{
    public readonly int Value;

    public Meters(int value) => this.Value = value;

    public static Meters Parse(string text) => new(int.Parse(text));

    public static string Kind() => "meters";
}

public readonly struct Feet : IParser<Feet>
{
    public static Feet Parse(string text) => default;
}

public static class Switches
{
    private static int unusedStatic;

    public static void UnusedMethod() => unusedStatic++;

    [FeatureSwitchDefinition("Subject.Fancy")]
    public static bool IsFancy => !AppContext.TryGetSwitch("Subject.Fancy", out var fancy) || fancy;

    public static bool IsFancyAndMore => IsFancy && !OperatingSystem.IsWindows();

    public static string Style()
    {
        if (IsFancyAndMore) { return Fancy.Style(); }
        return "plain";
    }

    public static string Guarded(string text)
    {
        var result = "";
        for (var i = 0; i < 3; i++)
        {
            try
            {
                if (IsFancy) { throw new Exception(Fancy.Style()); }
                result += IsFancy ? "f" : "p";
                if (i == 1) { throw new FormatException(text); }
            }
            catch (FormatException e) when (e.Message == text && !IsFancy) { result += "caught"; }
            finally { result += IsFancy ? Fancy.Style() : ";"; }
        }

        return result;
    }

    public static string Stubbed() => Fancy.Style() + "stubbed";
}

public static class Fancy { public static string Style() => "fancy"; }

public sealed class Made { public string Text = "made"; }

public sealed class MadeByConstraint { public string Text = "constraint"; }

public sealed class MadeByName { public override string ToString() => "by name"; }

public sealed class ReflectedMembers
{
    public int Number { get; set; } = 7;

    public string UnusedMethod() => "unused";
}

public sealed class DependedOn { private static string Secret() => "secret"; }

public static class Reflecting
{
    public static T Make<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicParameterlessConstructor)] T>() =>
        (T)Activator.CreateInstance(typeof(T))!;

    public static T New<T>() where T : new() => new();

    public static string Named() =>
        Activator.CreateInstance(Type.GetType("Subject.MadeByName")!)!.ToString()!;

    public static string Properties(
        [DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicProperties)] Type type,
        object value)
    {
        var text = "";
        foreach (var property in type.GetProperties()) { text += property.Name + property.GetValue(value); }
        return text;
    }

    [DynamicDependency("Secret", typeof(DependedOn))]
    public static string Depend() =>
        (string)typeof(DependedOn).GetMethod(
            "Secret", System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Static)!
            .Invoke(null, null)!;

    public static object OpenGeneric(Type argument) =>
        Activator.CreateInstance(typeof(Box<>).MakeGenericType(argument), "boxed")!;
}

public sealed class Box<T>
{
    private readonly string text;

    public Box(string text) => this.text = text;

    public override string ToString() => this.text + typeof(T).Name;
}

[AttributeUsage(AttributeTargets.All)]
public sealed class LabelAttribute : Attribute
{
    public LabelAttribute(Type type) => this.Type = type;

    public Type Type { get; }

    public string Text { get; set; } = "";

    public Colour Colour;
}

public sealed class OnlyInAttribute { public override string ToString() => "only in attribute"; }

public enum Colour { Red = 1, Green, Blue }

public delegate int Combine(int left, int right);

public static class Statics
{
    public static readonly List<string> Log = new();

    static Statics() => Log.Add("static constructor");

    public static ReadOnlySpan<byte> Table => new byte[] { 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2 };

    public static int Switched(int value) => value switch { 0 => 5, 1 => 9, 2 => 11, 3 => 2, _ => -1 };

    [UnmanagedCallersOnly(CallConvs = new[] { typeof(CallConvFastcall) })]
    public static int Exported(int value) => value;
}

public sealed class Finalized
{
    public static int Count;

    ~Finalized() => Count++;
}

public sealed class Described
{
    public string Kept() => "kept";

    public string Kept(int number) => "UnusedOverload";

    public int field;

    public string Property => "property";

    public string UnusedMethod() => "unused";
}

public sealed class DescribedWhole
{
    public string Whole => "whole";

    public string Any(int named) => "any";
}
