using System;
using System.Collections.Generic;
using System.Dynamic;
using System.Linq;
using System.Linq.Expressions;
using System.Reflection;
using System.Reflection.Emit;
using System.Text.Json;

namespace Programs;

[AttributeUsage(AttributeTargets.All)]
public sealed class LabelAttribute(string text) : Attribute
{
    public string Text { get; } = text;

    public int Weight { get; set; }
}

[Label("shape", Weight = 3)]
public class Shape
{
    private readonly double side;

    public Shape(double side) => this.side = side;

    [Label("area")]
    public double Area => side * side;

    public string Scale(int factor, string unit) => $"{side * factor}{unit}";

    public T Same<T>(T value) => value;

    private int Secret() => 42;
}

/// <summary>Looks at types, makes objects and calls members by name.</summary>
public sealed class Reflections : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var type = Assembly.GetExecutingAssembly().GetType("Programs.Shape")!;
        var shape = Activator.CreateInstance(type, question.GetDouble())!;
        var label = type.GetCustomAttribute<LabelAttribute>()!;
        var list = (System.Collections.IList)Activator.CreateInstance(typeof(List<>).MakeGenericType(type))!;
        list.Add(shape);
        string wrapped;
        try
        {
            type.GetMethod("Scale")!.Invoke(null, [1, "m"]);
            wrapped = "nothing";
        }
        catch (TargetException e)
        {
            wrapped = e.GetType().FullName!;
        }

        return new
        {
            Properties = type.GetProperties().Select(p => $"{p.PropertyType.Name} {p.Name}").ToArray(),
            Methods = type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly)
                .Where(m => !m.IsSpecialName).Select(m => m.Name).Order().ToArray(),
            Label = $"{label.Text} {label.Weight}",
            Area = type.GetProperty("Area")!.GetValue(shape),
            Scaled = type.GetMethod("Scale")!.Invoke(shape, [3, "cm"]),
            Secret = type.GetMethod("Secret", BindingFlags.NonPublic | BindingFlags.Instance)!.Invoke(shape, null),
            Generic = type.GetMethod("Same")!.MakeGenericMethod(typeof(string)).Invoke(shape, ["kept"]),
            ListType = list.GetType().ToString(),
            Count = list.Count,
            Wrapped = wrapped,
            Contract = typeof(MinimalRuntime.IFunctionHandler).IsAssignableFrom(GetType()),
            Parameters = type.GetConstructors()[0].GetParameters().Select(p => p.Name).ToArray(),
        };
    }
}

/// <summary>Builds functions at run time: expression trees, dynamic methods, late binding.</summary>
public sealed class Building : JsonHandler
{
    protected override object? Answer(JsonElement question)
    {
        var number = question.GetInt32();
        var n = Expression.Parameter(typeof(int), "n");
        var result = Expression.Variable(typeof(int), "result");
        var end = Expression.Label(typeof(int));
        var factorial = Expression.Lambda<Func<int, int>>(
            Expression.Block(
                [result],
                Expression.Assign(result, Expression.Constant(1)),
                Expression.Loop(
                    Expression.IfThenElse(
                        Expression.GreaterThan(n, Expression.Constant(1)),
                        Expression.MultiplyAssign(result, Expression.PostDecrementAssign(n)),
                        Expression.Break(end, result)),
                    end)),
            n);
        Expression<Func<int, int>> quoted = x => (x * x) + number;
        dynamic bag = new ExpandoObject();
        bag.Value = number;
        bag.Double = (Func<int>)(() => bag.Value * 2);
        dynamic text = "late";
        string unbound;
        try
        {
            text.NoSuchMember();
            unbound = "bound";
        }
        catch (Microsoft.CSharp.RuntimeBinder.RuntimeBinderException)
        {
            unbound = "unbound";
        }

        var method = new DynamicMethod("Add", typeof(int), [typeof(int), typeof(int)]);
        var il = method.GetILGenerator();
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldarg_1);
        il.Emit(OpCodes.Add);
        il.Emit(OpCodes.Ret);
        var add = method.CreateDelegate<Func<int, int, int>>();
        return new
        {
            Factorial = factorial.Compile()(number),
            Quoted = quoted.Compile()(5),
            Text = ((BinaryExpression)quoted.Body).NodeType.ToString(),
            Bag = (int)bag.Double(),
            Keys = ((IDictionary<string, object?>)bag).Keys.ToArray(),
            DynamicText = (string)(text + " " + text.ToUpper()),
            DynamicSum = (double)((dynamic)number + 0.5),
            Unbound = unbound,
            Emitted = add(number, 1),
        };
    }
}
