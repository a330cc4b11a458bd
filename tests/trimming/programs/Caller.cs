// The function that the library is trimmed for. What it names, it uses; so it is a root.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using System.Text;
using Subject;

[assembly: Label(typeof(OnlyInAttribute), Text = "assembly", Colour = Colour.Blue)]

public sealed class Caller : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input) =>
        Encoding.UTF8.GetBytes(this.Answer(Encoding.UTF8.GetString(input)));

    private string Answer(string question) => question switch
    {
        "layout" => Fields(new Layout { Written = 3 }),
        "override" => ((Animal)new Dog()).Speak() + NeverMade.Name(),
        "interfaces" => string.Join(",", new IShape[] { new Square(), new Circle(), new Both() }
            .Select(shape => shape.Area() + shape.Describe())),
        "static virtual" => Parse<Meters>("12").Value + Parse<Feet>("1").ToString() + Kind<Meters>() + Kind<Feet>(),
        "switch" => Switches.Style() + Switches.Guarded("x"),
        "stub" => Switches.Stubbed() ?? "null",
        "made" => Reflecting.Make<Made>().Text + Reflecting.New<MadeByConstraint>().Text,
        "name" => Reflecting.Named(),
        "properties" => Reflecting.Properties(typeof(ReflectedMembers), new ReflectedMembers()),
        "dependency" => Reflecting.Depend(),
        "open generic" => Reflecting.OpenGeneric(typeof(int)).ToString()!,
        "attribute" => Attribute(),
        "enum" => string.Join(",", Enum.GetNames<Colour>()) + (Colour)3 + Enum.Parse<Colour>("Green"),
        "delegate" => new Combine((a, b) => a * 10 + b)(4, 2).ToString(),
        "static" => Statics.Log[0] + Statics.Table[16] + Statics.Table.Length + Statics.Switched(2),
        "finalizer" => Finalize(),
        "message" => Message(),
        _ => "?",
    };

    private static string Fields(Layout layout) =>
        layout.Written + "," + layout.Size() + "," + typeof(Layout)
            .GetFields(BindingFlags.Instance | BindingFlags.NonPublic).Length;

    private static T Parse<T>(string text)
        where T : IParser<T> => T.Parse(text);

    private static string Kind<T>()
        where T : IParser<T> => T.Kind();

    private static string Attribute()
    {
        var label = typeof(Caller).Assembly.GetCustomAttribute<LabelAttribute>()!;
        return label.Type.Name + label.Text + label.Colour;
    }

    private static string Finalize()
    {
        Make();
        for (var i = 0; i < 50 && Finalized.Count == 0; i++)
        {
            _ = new byte[100_000];
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        return Finalized.Count > 0 ? "finalized" : "waiting";
    }

    private static void Make()
    {
        for (var i = 0; i < 100; i++) { _ = new Finalized(); }
    }

    private static string Message()
    {
        try { return new Dictionary<string, int> { ["a"] = 1 }["b"].ToString(); }
        catch (KeyNotFoundException e) { return e.Message; }
    }
}
