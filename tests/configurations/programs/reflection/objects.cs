using System;
using System.Collections.Generic;
using System.Reflection;
using System.Reflection.Emit;
using System.Text;

namespace Objects;

[AttributeUsage(AttributeTargets.All, AllowMultiple = true)]
public sealed class NoteAttribute(string text, params int[] numbers) : Attribute
{
    public string Text { get; } = text;

    public int[] Numbers { get; } = numbers;

    public Type? Kind { get; set; }
}

public interface IShape
{
    double Area { get; }
}

[Note("base", 1, 2, Kind = typeof(List<int>))]
public abstract class Shape : IShape
{
    protected internal readonly string Label = "shape";

    public abstract double Area { get; }

    public event EventHandler? Changed;

    public static Shape operator +(Shape a, Shape b) => a.Area > b.Area ? a : b;

    protected void OnChanged() => Changed?.Invoke(this, EventArgs.Empty);
}

[Note("derived")]
[Note("twice", Kind = typeof(Circle))]
public sealed class Circle(double radius) : Shape
{
    private double factor = 3;

    public override double Area => factor * radius * radius;

    public string this[int index] => $"{index}";

    [return: Note("result")]
    public T Same<T>([Note("argument")] T value, ref int counter, string text = "default", params object[] rest)
    {
        counter += rest.Length;
        OnChanged();
        return value;
    }

    public struct Nested
    {
        public int Number;
        public DayOfWeek Day;
    }
}

/// <summary>Looks at types, calls by name, makes generic ones, and writes code of its own.</summary>
public sealed class Program : MinimalRuntime.IFunctionHandler
{
    private const BindingFlags All = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var text = new StringBuilder();
        foreach (var type in (Type[])[typeof(Shape), typeof(Circle), typeof(Circle.Nested), typeof(IShape)])
        {
            text.Append($"{type} {type.BaseType?.Name} {type.Attributes} {type.IsAbstract}{type.IsNested}{type.IsValueType}\n");
            var members = type.GetMembers(All);
            Array.Sort(members, (a, b) => string.CompareOrdinal($"{a}", $"{b}"));
            foreach (var member in members)
            {
                text.Append("  ").Append(member.MemberType).Append(' ').Append(member).Append('\n');
            }

            foreach (var note in type.GetCustomAttributes<NoteAttribute>(inherit: false))
            {
                text.Append($"  {note.Text} {string.Join(';', note.Numbers)} {note.Kind}\n");
            }
        }

        object circle = Activator.CreateInstance(typeof(Circle), [2.0])!;
        typeof(Circle).GetField("factor", All)!.SetValue(circle, input.Length / 2.0);
        text.Append(typeof(Shape).GetProperty("Area")!.GetValue(circle)).Append(((IShape)circle).Area);
        var same = typeof(Circle).GetMethod("Same")!;
        var arguments = new object?[] { "v", 3, Type.Missing, new object[] { 1, 2 } };
        var raised = 0;
        typeof(Shape).GetEvent("Changed")!.AddEventHandler(circle, (EventHandler)((_, _) => raised++));
        arguments[2] = same.GetParameters()[2].DefaultValue;
        text.Append(same.MakeGenericMethod(typeof(string)).Invoke(circle, arguments)).Append(arguments[1]).Append(raised);
        text.Append(same.ReturnParameter.GetCustomAttribute<NoteAttribute>()!.Text).Append(same.GetParameters()[0].GetCustomAttribute<NoteAttribute>()!.Text);
        var list = (System.Collections.IList)Activator.CreateInstance(typeof(List<>).MakeGenericType(typeof(Circle.Nested)))!;
        list.Add(new Circle.Nested { Number = 5, Day = DayOfWeek.Friday });
        text.Append(list[0]!.GetType().GetField("Day")!.GetValue(list[0])).Append(list.GetType()).Append('\n');
        foreach (var failing in (Action[])[
            () => same.MakeGenericMethod(typeof(int)).Invoke(circle, ["x", 1, "", Array.Empty<object>()]),
            () => Activator.CreateInstance(typeof(Shape)),
            () => typeof(List<>).GetMethod("Add")!.Invoke(null, [1]),
            () => Enum.Parse(typeof(DayOfWeek), "Someday")])
        {
            try
            {
                failing();
            }
            catch (Exception e)
            {
                text.Append(e.GetType().Name).Append(' ').Append(e.Message).Append('\n');
            }
        }

        text.Append(Built(input.Length)).Append(Written(input.Length));
        text.Append(typeof(Program).Assembly.GetTypes().Length).Append(Assembly.GetExecutingAssembly() == typeof(Program).Assembly);
        return Encoding.UTF8.GetBytes(text.ToString());
    }

    /// <summary>A type with a field, a property, a constructor, an interface and an exception handler.</summary>
    private static string Built(int number)
    {
        var module = AssemblyBuilder.DefineDynamicAssembly(new AssemblyName("Built"), AssemblyBuilderAccess.RunAndCollect).DefineDynamicModule("m");
        var type = module.DefineType("Square", TypeAttributes.Public, typeof(object), [typeof(IShape)]);
        var side = type.DefineField("side", typeof(double), FieldAttributes.Private);
        var il = type.DefineConstructor(MethodAttributes.Public, CallingConventions.Standard, [typeof(double)]).GetILGenerator();
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Call, typeof(object).GetConstructor(Type.EmptyTypes)!);
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldarg_1);
        il.Emit(OpCodes.Stfld, side);
        il.Emit(OpCodes.Ret);
        var getter = type.DefineMethod("get_Area", MethodAttributes.Public | MethodAttributes.Virtual | MethodAttributes.SpecialName, typeof(double), Type.EmptyTypes);
        il = getter.GetILGenerator();
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldfld, side);
        il.Emit(OpCodes.Dup);
        il.Emit(OpCodes.Mul);
        il.Emit(OpCodes.Ret);
        var property = type.DefineProperty("Area", PropertyAttributes.None, typeof(double), null);
        property.SetGetMethod(getter);
        type.DefineMethodOverride(getter, typeof(IShape).GetProperty("Area")!.GetMethod!);
        type.SetCustomAttribute(new CustomAttributeBuilder(typeof(NoteAttribute).GetConstructors()[0], ["built", new int[] { 4 }]));
        var made = type.CreateType();
        var shape = (IShape)Activator.CreateInstance(made, (double)number)!;
        return $"{shape.Area} {made.GetProperty("Area")!.GetValue(shape)} {made.GetCustomAttribute<NoteAttribute>()!.Numbers[0]} ";
    }

    private static string Written(int number)
    {
        var method = new DynamicMethod("safe", typeof(string), [typeof(int)], typeof(Program).Module);
        var il = method.GetILGenerator();
        var result = il.DeclareLocal(typeof(string));
        var loop = il.DefineLabel();
        il.BeginExceptionBlock();
        il.MarkLabel(loop);
        il.Emit(OpCodes.Ldc_I4, 100);
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Div);
        il.Emit(OpCodes.Box, typeof(int));
        il.EmitCall(OpCodes.Callvirt, typeof(object).GetMethod("ToString")!, null);
        il.Emit(OpCodes.Stloc, result);
        il.BeginCatchBlock(typeof(DivideByZeroException));
        il.EmitCall(OpCodes.Callvirt, typeof(Exception).GetProperty("Message")!.GetMethod!, null);
        il.Emit(OpCodes.Stloc, result);
        il.EndExceptionBlock();
        il.Emit(OpCodes.Ldloc, result);
        il.Emit(OpCodes.Ret);
        return method.CreateDelegate<Func<int, string>>()(number);
    }
}
