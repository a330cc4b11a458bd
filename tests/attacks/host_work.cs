using System;
using System.IO;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

internal static class Interop
{
    /// <summary>Mono finds internal calls by these names, whichever assembly declares them.</summary>
    internal static unsafe class Runtime
    {
        [MethodImpl(MethodImplOptions.InternalCall)]
        public static extern void InvokeJSImportST(int number, IntPtr argument);

        [MethodImpl(MethodImplOptions.InternalCall)]
        public static extern nint BindJSImportST(void* signature);
    }
}

/// <summary>Has the host work: "command first second name".</summary>
public sealed unsafe class HostWork : MinimalRuntime.IFunctionHandler
{
    private const int Slot = 32, TypeAt = 12, ElementAt = 13, HandleAt = 4, LengthAt = 8;
    private const byte Boolean = 3, Double = 10, JsObject = 13, String = 15, Array = 21, Object = 13;
    private static int nextNumber = 5000;

    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var words = Encoding.UTF8.GetString(input).Split(' ');
        var n = words.Length > 1 ? int.Parse(words[1]) : 0;
        var m = words.Length > 2 ? int.Parse(words[2]) : 0;
        return Encoding.UTF8.GetBytes(words[0] switch
        {
            "names" => Names(n, m),
            "strings" => Strings(n, m),
            "array" => Slots(n, (slot, i) => { *(double*)slot = i; slot[TypeAt] = Double; }),
            "string array" or "stringarray" => StringArray(n, m),
            "properties" => Properties(n, m),
            "lines" => Lines(n),
            "entropy" => Entropy(n),
            "record" => Record(),
            "empty" => EmptyFiles(n),
            "begin" => Begin(n, m, words[3]),
            "nested" => Nested(n, m),
            "objects" => Objects(n),
            "bind" => Bindings(n),
            "trace" => Traces(n),
            "deep" => Deep(n),
            "links" => Links(n),
            "list" => Listings(n, m),
            _ => "fine",
        });
    }

    private static int Bind(string name, int arguments, byte result)
    {
        var signature = (byte*)NativeMemory.AllocZeroed(4096);
        var number = nextNumber++;
        *(int*)signature = 2;
        *(int*)(signature + 4) = arguments;
        *(int*)(signature + 8) = number;
        *(int*)(signature + 16) = 256;
        *(int*)(signature + 20) = 2 * name.Length;
        signature[64] = result;
        name.CopyTo(new Span<char>(signature + 256, name.Length));
        Interop.Runtime.BindJSImportST(signature);
        NativeMemory.Free(signature);
        return number;
    }

    /// <summary>Slots of a call, and whether it raised.</summary>
    private static byte* Frame(int arguments) => (byte*)NativeMemory.AllocZeroed((nuint)((arguments + 2) * Slot));

    private static string Call(int number, byte* frame)
    {
        Interop.Runtime.InvokeJSImportST(number, (IntPtr)frame);
        return frame[TypeAt] == 0 ? "returned" : "raised";
    }

    /// <summary>What looks like a string to who reads its length and characters.</summary>
    private static byte* FakeString(int length)
    {
        var text = (byte*)NativeMemory.AllocZeroed((nuint)(16 + (2 * (long)length)));
        *(int*)(text + LengthAt) = length;
        new Span<char>(text + 12, length).Fill('\u0141');
        return text;
    }

    private static void SetString(byte* slot, byte* text)
    {
        *(int*)slot = (int)text;
        slot[TypeAt] = String;
    }

    private static string Names(int length, int calls)
    {
        var name = new string('\ue000', length);
        var raised = 0;
        var record = (int*)NativeMemory.AllocZeroed(64);
        fixed (char* text = name)
        {
            for (var i = 0; i < calls; i++)
            {
                new Span<int>(record, 16).Clear();
                record[0] = (int)text;
                record[1] = length;
                Interop.Runtime.InvokeJSImportST(-1, (IntPtr)record);
                raised += record[7];
            }
        }

        return $"raised {raised}";
    }

    private static string Strings(int length, int count)
    {
        var text = FakeString(length);
        var frame = Frame(count);
        for (var i = 0; i < count; i++)
        {
            SetString(frame + ((i + 2) * Slot), text);
        }

        return Call(Bind("INTERNAL.has_property", count, Boolean), frame);
    }

    private delegate void Fill(byte* slot, int index);

    private static string Slots(int count, Fill fill)
    {
        var slots = (byte*)NativeMemory.AllocZeroed((nuint)count * Slot);
        for (var i = 0; i < count; i++)
        {
            fill(slots + (i * Slot), i);
        }

        var frame = Frame(1);
        var argument = frame + (2 * Slot);
        *(int*)argument = (int)slots;
        *(int*)(argument + LengthAt) = count;
        argument[TypeAt] = Array;
        argument[ElementAt] = Object;
        return Call(Bind("INTERNAL.has_property", 1, Boolean), frame);
    }

    private static string StringArray(int length, int count)
    {
        var text = FakeString(length);
        return Slots(count, (slot, _) => SetString(slot, text));
    }

    /// <summary>Arrays of arrays, each of the same one below: width to the power of depth.</summary>
    private static string Nested(int depth, int width)
    {
        var slots = (byte*)NativeMemory.AllocZeroed((nuint)width * Slot);
        for (var level = 0; level < depth; level++)
        {
            var outer = (byte*)NativeMemory.AllocZeroed((nuint)width * Slot);
            for (var i = 0; i < width; i++)
            {
                SetArray(outer + (i * Slot), slots, width);
            }

            slots = outer;
        }

        var frame = Frame(1);
        SetArray(frame + (2 * Slot), slots, width);
        return Call(Bind("INTERNAL.has_property", 1, Boolean), frame);
    }

    private static void SetArray(byte* slot, byte* elements, int count)
    {
        *(int*)slot = (int)elements;
        *(int*)(slot + LengthAt) = count;
        slot[TypeAt] = Array;
        slot[ElementAt] = Object;
    }

    private static string Objects(int count)
    {
        var make = Bind("INTERNAL.http_wasm_create_controller", 0, JsObject);
        var frame = Frame(0);
        for (var i = 0; i < count; i++)
        {
            frame[TypeAt] = 0;
            Call(make, frame);
        }

        return "made";
    }

    private static string Bindings(int count)
    {
        for (var i = 0; i < count; i++)
        {
            Bind("INTERNAL.has_property", 1, Boolean);
        }

        return "bound";
    }

    private static string Properties(int length, int count)
    {
        var frame = Frame(0);
        Call(Bind("INTERNAL.http_wasm_create_controller", 0, JsObject), frame);
        var handle = *(int*)(frame + Slot + HandleAt);
        var set = Bind("INTERNAL.set_property", 3, 1);
        byte* text = FakeString(length), key = FakeString(8);
        var good = 0;
        for (var i = 0; i < count; i++)
        {
            *(int*)(key + 12) = i;
            var arguments = Frame(3);
            *(int*)(arguments + (2 * Slot) + HandleAt) = handle;
            arguments[(2 * Slot) + TypeAt] = JsObject;
            SetString(arguments + (3 * Slot), key);
            SetString(arguments + (4 * Slot), text);
            good += Call(set, arguments) == "returned" ? 1 : 0;
        }

        return $"set {good}";
    }

    private static string Lines(int count)
    {
        var ends = new byte[count];
        ends.AsSpan().Fill((byte)'\n');
        using var output = Console.OpenStandardOutput();
        output.Write(ends);
        return "written";
    }

    private static string Entropy(int size)
    {
        RandomNumberGenerator.Fill(GC.AllocateUninitializedArray<byte>(size));
        return "filled";
    }

    private static string Record()
    {
        var record = (int*)NativeMemory.AllocZeroed(8);
        Interop.Runtime.InvokeJSImportST(-6, (IntPtr)record);
        return "logged";
    }

    private static string EmptyFiles(int count)
    {
        var made = 0;
        try
        {
            for (; made < count; made++)
            {
                File.WriteAllBytes("/tmp/" + made + new string('x', 200), []);
            }
        }
        catch (IOException)
        {
            return "full";
        }

        return "made";
    }

    private static string Begin(int size, int count, string name)
    {
        var argument = new byte[size];
        for (var i = 0; i < count; i++)
        {
            _ = MinimalRuntime.Host.CallAsync(name, argument);
        }

        return "begun";
    }

    private static string Traces(int count)
    {
        for (var i = 0; i < count; i++)
        {
            System.Diagnostics.Trace.WriteLine("traced");
        }

        return "traced";
    }

    private static string Deep(int count)
    {
        var made = 0;
        try
        {
            for (; made < count; made++)
            {
                Directory.CreateDirectory("d");
                Directory.SetCurrentDirectory("d");
            }
        }
        catch (IOException)
        {
            return "full";
        }

        return "made";
    }

    private static string Links(int count)
    {
        var path = new StringBuilder("/tmp");
        Directory.CreateDirectory("/tmp/d");
        File.CreateSymbolicLink("/tmp/l", string.Concat(System.Linq.Enumerable.Repeat("./", 2000)) + ".");
        for (var i = 0; i < 39; i++)
        {
            path.Append("/l");
        }

        var found = 0;
        for (var i = 0; i < count; i++)
        {
            found += File.Exists(path + "/x") ? 1 : 0;
        }

        return $"found {found}";
    }

    private static string Listings(int files, int count)
    {
        for (var i = 0; i < files; i++)
        {
            File.WriteAllBytes($"/tmp/{i}", []);
        }

        var seen = 0;
        for (var i = 0; i < count; i++)
        {
            seen += Directory.GetFileSystemEntries("/tmp").Length;
        }

        return $"seen {seen}";
    }
}
