"""Two functions that need different versions of one library live side by side.

Prints::

    old -> Units 1.0.0.0: 1 mile = 1.6 km
    new -> Units 2.0.0.0: 1 mile = 1.609344 km
"""

import dotnet_wasm_host as dwh


def units(version: str, kilometres: str) -> dwh.Assembly:
    source = f"""
        [assembly: System.Reflection.AssemblyVersion("{version}")]
        namespace Units;
        public static class Mile {{ public static string InKilometres => "{kilometres}"; }}
        """
    return dwh.compile_csharp(source, assembly_name="Units")


REPORT = """
using System; using System.Text; using Units;
public sealed class Report : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var library = typeof(Mile).Assembly.GetName();
        return Encoding.UTF8.GetBytes(
            $"{library.Name} {library.Version}: 1 mile = {Mile.InKilometres} km");
    }
}
"""

old, new = units("1.0.0.0", "1.6"), units("2.0.0.0", "1.609344")

with dwh.Runtime() as runtime:
    for name, library in (("old", old), ("new", new)):
        report = dwh.compile_csharp(REPORT, references=[library])
        runtime.load_assembly(name, report, dependencies=[library])
    for name in runtime.functions:
        print(name, "->", runtime.invoke(name).decode())
