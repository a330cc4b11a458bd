"""A guest sees what it is given and nothing else.

Prints::

    greeting from file: hello
    LANGUAGE=en HOME=
    files under /: /data /dev /home /tmp
    a clock that stands at 2000-01-01
    the host's /etc/hostname exists: False
    stdout: written by the guest
"""

import io

import dotnet_wasm_host as dwh

LOOK_AROUND = """
using System; using System.IO; using System.Linq; using System.Text;
public sealed class LookAround : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        Console.WriteLine("written by the guest");
        File.WriteAllText("/tmp/scratch", "the guest's own, in memory");
        var text = $"greeting from file: {File.ReadAllText("/data/greeting.txt")}\\n"
            + $"LANGUAGE={Environment.GetEnvironmentVariable("LANGUAGE")} "
            + $"HOME={Environment.GetEnvironmentVariable("HOME")}\\n"
            + $"files under /: {string.Join(" ", Directory.GetFileSystemEntries("/").Order())}\\n"
            + $"a clock that stands at {DateTime.UtcNow:yyyy-MM-dd}\\n"
            + $"the host's /etc/hostname exists: {File.Exists("/etc/hostname")}";
        return Encoding.UTF8.GetBytes(text);
    }
}
"""


class Millennium:
    """A clock that stands still."""

    def time(self) -> float:
        return 946_684_800.0

    def monotonic(self) -> float:
        return 0.0


stdout = io.BytesIO()
wasi = dwh.WasiOptions(
    env={"LANGUAGE": "en"},
    files={"/data/greeting.txt": b"hello"},
    stdout=stdout,
    clock=Millennium(),
)
with dwh.Runtime(wasi=wasi) as runtime:
    runtime.load_assembly("look", dwh.compile_csharp(LOOK_AROUND))
    print(runtime.invoke("look").decode())
print("stdout:", stdout.getvalue().decode().strip())
