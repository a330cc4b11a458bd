using System;
using System.Linq;
using System.Runtime.InteropServices.JavaScript;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using MinimalRuntime;

namespace Programs;

/// <summary>What the source generator of [JSImport] writes, for functions named at run time.</summary>
internal static class Js
{
    public static JSFunctionBinding Bind(string name, params JSMarshalerType[] resultAndArguments) =>
        JSFunctionBinding.BindJSFunction(name, null!, resultAndArguments);

    public delegate void Fill(Span<JSMarshalerArgument> slots);

    public static JSMarshalerArgument Call(JSFunctionBinding binding, int arguments, Fill fill)
    {
        Span<JSMarshalerArgument> slots = stackalloc JSMarshalerArgument[8];
        slots = slots[..(arguments + 2)];
        slots.Clear();
        slots[0].Initialize();
        slots[1].Initialize();
        fill(slots);
        JSFunctionBinding.InvokeJS(binding, slots);
        return slots[1];
    }
}

/// <summary>Every type of value, there and back.</summary>
public sealed class Values : JsonHandler
{
    private static readonly JSFunctionBinding Scalars = Js.Bind(
        "test.scalars", JSMarshalerType.String, JSMarshalerType.Boolean, JSMarshalerType.Int32,
        JSMarshalerType.Int52, JSMarshalerType.Double, JSMarshalerType.String);

    private static readonly JSFunctionBinding Arrays = Js.Bind(
        "test.arrays", JSMarshalerType.Array(JSMarshalerType.String),
        JSMarshalerType.Array(JSMarshalerType.String), JSMarshalerType.Array(JSMarshalerType.Byte),
        JSMarshalerType.Array(JSMarshalerType.Object));

    private static readonly JSFunctionBinding Bytes = Js.Bind(
        "test.bytes", JSMarshalerType.Array(JSMarshalerType.Byte), JSMarshalerType.Int32);

    private static readonly JSFunctionBinding Fill = Js.Bind(
        "test.fill", JSMarshalerType.Int32, JSMarshalerType.Span(JSMarshalerType.Byte));

    private static readonly JSFunctionBinding Fail = Js.Bind(
        "test.fail", JSMarshalerType.Void, JSMarshalerType.String);

    protected override object? Answer(JsonElement question) => question.GetString() switch
    {
        "scalars" => Scalar(true, -7, 1L << 50, 0.5, "Zoë 🐍 \0 end"),
        "no string" => Scalar(false, 0, 0, 0, null),
        "arrays" => Array(["a", "", null!, "ü🐍"], [1, 2, 255], [1.5, "x", true, null]),
        "bytes" => GetBytes(100_000).Sum(b => (int)b),
        "fill" => Filled(),
        "unfit" => Caught(() => GetBytes(-1)),
        "fail" => Caught(() => Js.Call(Fail, 1, s => s[2].ToJS("js"))),
        "fail python" => Caught(() => Js.Call(Fail, 1, s => s[2].ToJS("python"))),
        "missing" => Caught(() => Js.Bind("test.missing", JSMarshalerType.Void)),
        _ => null,
    };

    private static string Caught(Action action)
    {
        try
        {
            action();
            return "nothing";
        }
        catch (Exception exception)
        {
            return $"{exception.GetType().Name}: {exception.Message}";
        }
    }

    private static string? Scalar(bool flag, int number, long wide, double real, string? text)
    {
        var result = Js.Call(Scalars, 5, s =>
        {
            s[2].ToJS(flag);
            s[3].ToJS(number);
            s[4].ToJS(wide);
            s[5].ToJS(real);
            s[6].ToJS(text);
        });
        result.ToManaged(out string? answer);
        return answer;
    }

    private static string?[]? Array(string[] texts, byte[] bytes, object?[] things)
    {
        var result = Js.Call(Arrays, 3, s =>
        {
            s[2].ToJS(texts);
            s[3].ToJS(bytes);
            s[4].ToJS(things);
        });
        result.ToManaged(out string?[]? answer);
        return answer;
    }

    private static byte[] GetBytes(int count)
    {
        var result = Js.Call(Bytes, 1, s => s[2].ToJS(count));
        result.ToManaged(out byte[]? answer);
        return answer!;
    }

    private static string Filled()
    {
        Span<byte> buffer = stackalloc byte[16];
        buffer.Fill((byte)'.');
        Span<JSMarshalerArgument> slots = stackalloc JSMarshalerArgument[3];
        slots.Clear();
        slots[2].ToJS(buffer);
        JSFunctionBinding.InvokeJS(Fill, slots);
        slots[1].ToManaged(out int count);
        return $"{count} {Encoding.ASCII.GetString(buffer)}";
    }
}

/// <summary>Objects of the host: identity, properties, release.</summary>
public sealed class Objects : JsonHandler
{
    private static readonly JSFunctionBinding Open = Js.Bind(
        "test.open", JSMarshalerType.JSObject, JSMarshalerType.String);

    private static readonly JSFunctionBinding Name = Js.Bind(
        "test.name", JSMarshalerType.String, JSMarshalerType.JSObject);

    private static JSObject? kept;

    protected override object? Answer(JsonElement question)
    {
        switch (question.GetString())
        {
            case "properties":
                using (var item = OpenItem("one"))
                {
                    return new object?[]
                    {
                        NameOf(item), item.GetPropertyAsInt32("size"), item.GetPropertyAsString("title"),
                        item.HasProperty("__class__"), item.GetTypeOfProperty("size"),
                        item.GetTypeOfProperty("nothing"), item.GetPropertyAsString("nothing"),
                    };
                }

            case "keep":
                kept = OpenItem("kept");
                return NameOf(kept);
            case "kept":
                return NameOf(kept!);
            default:
                for (var i = 0; i < 1000; i++)
                {
                    OpenItem("many").Dispose();
                }

                return null;
        }
    }

    private static JSObject OpenItem(string name)
    {
        var result = Js.Call(Open, 1, s => s[2].ToJS(name));
        result.ToManaged(out JSObject? item);
        return item!;
    }

    private static string? NameOf(JSObject item)
    {
        var result = Js.Call(Name, 1, s => s[2].ToJS(item));
        result.ToManaged(out string? name);
        return name;
    }
}

/// <summary>Promises of the host as tasks.</summary>
public sealed class Promises : IAsyncFunctionHandler
{
    private static readonly JSFunctionBinding Later = Js.Bind(
        "test.later", JSMarshalerType.Task(JSMarshalerType.String), JSMarshalerType.String);

    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken cancellation)
    {
        try
        {
            var names = Encoding.UTF8.GetString(input.Span).Split(' ');
            var tasks = names.Select(Get).ToArray();
            var texts = await Task.WhenAll(tasks).WaitAsync(cancellation);
            return Encoding.UTF8.GetBytes(string.Join(',', texts));
        }
        catch (JSException exception)
        {
            return Encoding.UTF8.GetBytes(exception.Message);
        }
    }

    private static Task<string> Get(string name)
    {
        var result = Js.Call(Later, 1, s => s[2].ToJS(name));
        result.ToManaged(
            out Task<string>? task,
            static (ref JSMarshalerArgument slot, out string value) =>
            {
                slot.ToManaged(out string? text);
                value = text!;
            });
        return task!;
    }
}
