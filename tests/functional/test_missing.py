"""What this .NET does not have says so by name, as the guide lists it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.abi import RemoteException
from dotnet_wasm_host.guest.error_advice import advice_on, called_api

if TYPE_CHECKING:
    from collections.abc import Iterator

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
#: What the advice says, the word by which the guide lists it, and what somebody writes.
MISSING = (
    ("System.Security.Cryptography.MD5.HashData", "`MD5`", "MD5.HashData([1]);"),
    ("System.Security.Cryptography.SHA3_256.HashData", "`SHA3_256`", "SHA3_256.HashData([1]);"),
    ("new System.Security.Cryptography.AesGcm", "`AesGcm`", "new AesGcm(new byte[16], 16);"),
    ("ChaCha20Poly1305", "`ChaCha20Poly1305`", "new ChaCha20Poly1305(new byte[32]);"),
    ("Cryptography.", "`Aes`", "Aes.Create().EncryptCbc(new byte[1], new byte[16]);"),
    ("Cryptography.", "`TripleDES`", "TripleDES.Create().CreateEncryptor();"),
    ("System.Security.Cryptography.RSA.Create", "`RSA`", "RSA.Create();"),
    ("System.Security.Cryptography.ECDsa.Create", "`ECDsa`", "ECDsa.Create();"),
    ("X509CertificateLoader.LoadCertificate", "`X509CertificateLoader`",
     "System.Security.Cryptography.X509Certificates.X509CertificateLoader.LoadCertificate([1]);"),
    ("new System.IO.Compression.BrotliStream", "`BrotliStream`",
     "new BrotliStream(Stream.Null, CompressionMode.Decompress);"),
    ("System.Formats.Tar.TarFile.CreateFromDirectory", "`TarFile`",
     'System.Formats.Tar.TarFile.CreateFromDirectory("/tmp", "/tmp/x.tar", true);'),
    ("System.Threading.Thread.Start", "`Thread.Start`", "new Thread(() => { }).Start();"),
    ("IAsyncFunctionHandler", "`Task.Wait`", "Task.Delay(-1).Wait();"),
    ("System.Diagnostics.Process.Start", "`Process`", 'System.Diagnostics.Process.Start("ls");'),
    ("new System.Net.Sockets.TcpClient", "`TcpClient`",
     'new System.Net.Sockets.TcpClient("localhost", 1);'),
    ("System.Net.Dns.GetHostAddresses", "`Dns`", 'System.Net.Dns.GetHostAddresses("localhost");'),
    ("System.Console.SetWindowSize", "`SetWindowSize`", "Console.SetWindowSize(80, 25);"),
    ("new System.IO.FileSystemWatcher", "`FileSystemWatcher`", 'new FileSystemWatcher("/tmp");'),
    ("new System.IO.Pipes.AnonymousPipeServerStream", "`AnonymousPipeServerStream`",
     "new System.IO.Pipes.AnonymousPipeServerStream();"),
    ("native libraries cannot be loaded", "`DllImport`", "Native.Call();"),
    ("IANA names", "time zones", 'TimeZoneInfo.FindSystemTimeZoneById("No Such Zone");'),
)  # fmt: skip


@pytest.fixture(scope="module")
def asking() -> Iterator[dwh.LoadedFunction]:
    cases = "\n".join(
        f"case {number}: {statement} break;"
        for number, statement in enumerate(s for _, _, s in MISSING)
    )
    source = f"""
        using System.IO.Compression; using System.Security.Cryptography;
        static class Native {{
            [System.Runtime.InteropServices.DllImport("sqlite3")] public static extern void Call();
        }}
        public class Asking : IFunctionHandler {{
            public byte[] Execute(ReadOnlySpan<byte> input) {{
                switch (input[0]) {{ {cases} }}
                return [];
            }}
        }}"""
    with dwh.Runtime() as runtime:
        yield runtime.load_csharp(source)


@pytest.mark.parametrize("number", range(len(MISSING)))
def test_the_error_names_it(asking: dwh.LoadedFunction, number: int) -> None:
    with pytest.raises(dwh.InvocationError) as caught:
        asking(bytes([number]))
    assert MISSING[number][0] in caught.value.advice
    assert f"({caught.value.advice})" in str(caught.value)


def test_the_guide_lists_it() -> None:
    _, found, rest = GUIDE.read_text(encoding="utf-8").partition("### What this .NET does not have")
    assert found
    section = rest.partition("\n### ")[0]
    assert [word for _, word, _ in MISSING if word not in section] == []


def test_a_program_is_told_what_it_lacks() -> None:
    done = dwh.run_csharp("Console.WindowWidth = 100;")
    assert isinstance(done.exception, dwh.InvocationError)
    assert done.exception.advice.startswith("System.Console.WindowWidth does not work")


def test_a_constructor_is_told_so() -> None:
    source = """
        public class H : IFunctionHandler {
            public H() => Console.SetWindowSize(1, 1);
            public byte[] Execute(ReadOnlySpan<byte> input) => [];
        }"""
    with (
        dwh.Runtime() as runtime,
        pytest.raises(dwh.AssemblyLoadError, match=r"Console\.SetWindowSize"),
    ):
        runtime.load_csharp(source)


@pytest.mark.parametrize(
    ("trace", "api"),
    [
        ("", ""),
        ("   at H.Execute()", ""),
        ("   at System.A.get_B()\n   at H.Execute()\n   at System.C.D()", "System.A.B"),
        ("   at System.A.B[T](T x)\n   at System.A.C(Int32 y) in x.cs:line 3", "System.A.C"),
        ("   at System.Collections.List`1[[X]]..ctor()", "System.Collections.List`1"),
        ("garbage\0\n" * 3, ""),
        ("at System", ""),
        ("   at System.X.Y()\n" * 100_000, "System.X.Y"),
    ],
)
def test_whatever_a_trace_says(trace: str, api: str) -> None:
    assert called_api(trace).removeprefix("new ") == api


def test_what_says_enough_gets_no_advice() -> None:
    thrown = RemoteException("System.Exception", "boom", "   at System.Console.ReadKey()")
    assert advice_on(thrown) == ""
    for _ in range(40):
        thrown = RemoteException("System.Exception", "outer", "", thrown)
    assert advice_on(thrown) == ""


def test_the_native_part_of_sqlite_is_named() -> None:
    message = "You need to call SQLitePCL.raw.SetProvider().  If you are using a bundle package ..."
    inner = RemoteException("System.Exception", message, "   at SQLitePCL.raw.get_Provider()")
    outer = RemoteException("System.TypeInitializationException", "outer", "", inner)
    assert "e_sqlite3" in advice_on(outer)
