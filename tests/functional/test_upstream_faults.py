"""Faults of this build of .NET: still there, contained, and said.

A test that fails here because .NET does the right thing is good news: take the fault out of the
guide and out of ``guest/known_faults.py``.
"""

from __future__ import annotations

import logging

import pytest

import dotnet_wasm_host as dwh

SOURCE = """
using System.Reflection.Emit;
public delegate int Add(int n);
public interface IBase { static virtual string Name() => "base"; }
public interface IDerived : IBase { static string IBase.Name() => "derived"; }
public class Faulty : IFunctionHandler {
    static string NameOf<T>() where T : IBase => T.Name();
    public byte[] Execute(ReadOnlySpan<byte> input) {
        switch ((char)input[0]) {
            case 'p':
                System.Runtime.InteropServices.Marshal.GetFunctionPointerForDelegate<Add>(n => n);
                break;
            case 'c':
                var type = AssemblyBuilder
                    .DefineDynamicAssembly(new("A"), AssemblyBuilderAccess.Run)
                    .DefineDynamicModule("M").DefineType("T");
                type.DefineProperty("P", 0, typeof(decimal), null).SetConstant(1m);
                type.CreateType();
                break;
            case 'a': new List<object[]>().AddRange(new string[][] { ["a"] }); break;
            case 's': return [(byte)NameOf<IDerived>()[0]];
        }
        return [];
    }
}
"""


@pytest.fixture(scope="module")
def faulty() -> dwh.Assembly:
    return dwh.compile_csharp(SOURCE)


@pytest.mark.parametrize(
    ("what", "error", "said"),
    [
        (b"p", dwh.GuestTrap, "memory"),
        (b"c", dwh.GuestTerminated, "sre-encode"),
        (b"a", dwh.InvocationError, "arrays of arrays"),
    ],
)
def test_a_fault_is_contained(
    faulty: dwh.Assembly, what: bytes, error: type[Exception], said: str
) -> None:
    with dwh.Runtime(wasi=dwh.WasiOptions(stdout="discard", stderr="discard")) as runtime:
        function = runtime.load_assembly("f", faulty)
        with pytest.raises(error, match=said):
            function(what)
        assert function(b"s") == b"b"  # other builds say "derived"


def test_who_loads_what_would_end_the_guest_is_warned(
    faulty: dwh.Assembly, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dotnet_wasm_host.guest")
    innocent = dwh.compile_csharp(
        "public class Marshal { public static void GetFunctionPointerForDelegate() { } }"
        "public class H : IFunctionHandler {"
        ' public byte[] Execute(ReadOnlySpan<byte> input) { Console.Write("SetConstant");'
        " Marshal.GetFunctionPointerForDelegate(); return []; } }"
    )
    with dwh.Runtime() as runtime:
        runtime.load_assembly("innocent", innocent)
        assert caplog.messages == []
        runtime.load_assembly("f", faulty)
        assert {record.levelname for record in caplog.records} == {"WARNING"}
        pointer, constant = caplog.messages
        assert pointer.startswith("'f' refers to Marshal.GetFunctionPointerForDelegate, which is a")
        assert constant.startswith(
            "'f' refers to PropertyBuilder.SetConstant, which ends the guest"
        )
        caplog.clear()
        runtime.load_assembly("innocent", innocent, dependencies=[faulty])
        assert {record.levelname for record in caplog.records} == {"INFO"}
