// The functions as a JavaScript program calls them: [JSExport] methods with arrays of bytes. What
// the SDK's source generator would write for the attribute stands below it, by hand, because a
// generator needs the SDK.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices.JavaScript;
using System.Runtime.Loader;
using MinimalRuntime;

namespace Benchmarks
{
    public static unsafe partial class Exports
    {
        private static readonly Dictionary<int, IFunctionHandler> Handlers = [];
        private static readonly Dictionary<int, AssemblyLoadContext> Contexts = [];
        private static int last;

        public static int Load(byte[] image)
        {
            var context = new AssemblyLoadContext("function", isCollectible: true);
            var assembly = context.LoadFromStream(new MemoryStream(image));
            var type = assembly.GetTypes().First(t => typeof(IFunctionHandler).IsAssignableFrom(t));
            Handlers[++last] = (IFunctionHandler)Activator.CreateInstance(type)!;
            Contexts[last] = context;
            return last;
        }

        public static byte[] Invoke(int handle, byte[] payload) => Handlers[handle].Execute(payload);

        public static void Unload(int handle)
        {
            Handlers.Remove(handle);
            if (Contexts.Remove(handle, out var context))
            {
                context.Unload();
            }
        }

        internal static void __Wrapper_Load_1(JSMarshalerArgument* arguments)
        {
            try
            {
                arguments[2].ToManaged(out byte[]? image);
                arguments[1].ToJS(Load(image!));
            }
            catch (Exception exception)
            {
                arguments[0].ToJS(exception);
            }
        }

        internal static void __Wrapper_Unload_1(JSMarshalerArgument* arguments)
        {
            try
            {
                arguments[2].ToManaged(out int handle);
                Unload(handle);
            }
            catch (Exception exception)
            {
                arguments[0].ToJS(exception);
            }
        }

        internal static void __Wrapper_Invoke_1(JSMarshalerArgument* arguments)
        {
            try
            {
                arguments[2].ToManaged(out int handle);
                arguments[3].ToManaged(out byte[]? payload);
                arguments[1].ToJS(Invoke(handle, payload!));
            }
            catch (Exception exception)
            {
                arguments[0].ToJS(exception);
            }
        }
    }
}

namespace System.Runtime.InteropServices.JavaScript
{
    internal static class __GeneratedInitializer
    {
        internal static void __Register_()
        {
            var bytes = JSMarshalerType.Array(JSMarshalerType.Byte);
            JSFunctionBinding.BindManagedFunction(
                "[Benchmarks.NodeExports]Benchmarks.Exports:Load", 1, [JSMarshalerType.Int32, bytes]);
            JSFunctionBinding.BindManagedFunction(
                "[Benchmarks.NodeExports]Benchmarks.Exports:Invoke", 1,
                [bytes, JSMarshalerType.Int32, bytes]);
            JSFunctionBinding.BindManagedFunction(
                "[Benchmarks.NodeExports]Benchmarks.Exports:Unload", 1,
                [JSMarshalerType.Void, JSMarshalerType.Int32]);
        }
    }
}
