using System; using System.Collections.Generic; using System.Globalization; using System.Text;
using System.Threading.Tasks;
using System.Reflection; using System.Reflection.Emit;
public sealed class Program : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var o = new StringBuilder();
        Run(Encoding.UTF8.GetString(input), o);
        return Encoding.UTF8.GetBytes(o.ToString());
    }
    static void Run(string text, StringBuilder o) {
        var method = new DynamicMethod("twice", typeof(int), new[] { typeof(int) });
        var il = method.GetILGenerator();
        il.Emit(OpCodes.Ldarg_0); il.Emit(OpCodes.Ldc_I4_2); il.Emit(OpCodes.Mul); il.Emit(OpCodes.Ret);
        o.Append(method.CreateDelegate<Func<int, int>>()(text.Length));
        var type = typeof(Thing);
        foreach (var p in type.GetProperties()) o.Append(p.Name).Append(p.PropertyType.Name);
        var thing = Activator.CreateInstance(type, "made")!;
        o.Append(type.GetMethod("Say")!.Invoke(thing, new object[] { 3 }));
        o.Append(type.GetCustomAttribute<TagAttribute>()!.Name);
        o.Append(typeof(List<>).MakeGenericType(typeof(int)).FullName);
        var assembly = AssemblyBuilder.DefineDynamicAssembly(new AssemblyName("d"), AssemblyBuilderAccess.Run);
        var built = assembly.DefineDynamicModule("m").DefineType("T", TypeAttributes.Public);
        built.DefineField("f", typeof(string), FieldAttributes.Public);
        o.Append(built.CreateType().GetFields()[0].Name);
    }
    [AttributeUsage(AttributeTargets.Class)] public class TagAttribute(string name) : Attribute { public string Name => name; }
    [Tag("tagged")] public class Thing(string name) {
        public string Name => name;
        public string Say(int times) => new string('!', times) + name;
    }
}
