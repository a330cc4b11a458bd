"""Bad input gets the right typed error, says what is wrong, and changes nothing."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import CompiledSources

EXECUTE = "public byte[] Execute(System.ReadOnlySpan<byte> input) => [];"
HANDLER = "MinimalRuntime.IFunctionHandler"


@pytest.fixture
def calm(runtime: dwh.Runtime, moody: dwh.Assembly) -> Iterator[dwh.Runtime]:
    """A runtime with a function "calm" that must be as it was when the test is over."""
    function = runtime.load_assembly("calm", moody)
    assert runtime.invoke("calm", b"count") == b"1"
    yield runtime
    assert dict(runtime.functions) == {"calm": function}
    assert function.is_alive
    assert runtime.invoke("calm", b"count") == b"2", "the instance was replaced"
    assert runtime.stats().recycles == 0


# ---------------------------------------------------------------- assemblies that are none

NOT_ASSEMBLIES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "one byte": lambda _: b"M",
    "text": lambda _: b"This is not an assembly. " * 100,
    "random": lambda _: random.Random(1).randbytes(5000),
    "random after MZ": lambda _: b"MZ" + random.Random(2).randbytes(5000),
    "random after webcil magic": lambda _: b"WbIL" + random.Random(3).randbytes(5000),
    "zeros": lambda _: bytes(100_000),
    "ELF": lambda _: b"\x7fELF\x02\x01\x01" + bytes(1000),
    "WebAssembly": lambda _: b"\0asm\x01\0\0\0",
    "ZIP": lambda _: b"PK\x05\x06" + bytes(18),
    "headers only": lambda good: good[:512],
    "first half": lambda good: good[: len(good) // 2],
    "without its last section": lambda good: good[:-512],
    "without its first byte": lambda good: good[1:],
    "without a metadata root": lambda good: good.replace(b"BSJB", b"XXXX"),
    "without tables": lambda good: good.replace(b"#~\0\0", b"#!\0\0"),
}


@pytest.mark.parametrize("kind", NOT_ASSEMBLIES)
def test_what_is_no_assembly_is_refused(calm: dwh.Runtime, moody: dwh.Assembly, kind: str) -> None:
    content = NOT_ASSEMBLIES[kind](moody.data)
    assert content != moody.data

    for function_id in ("new", "calm"):
        with pytest.raises(dwh.AssemblyLoadError) as caught:
            calm.load_assembly(function_id, content)

        error = caught.value
        assert type(error) is dwh.AssemblyLoadError
        assert isinstance(error, ValueError)
        assert error.function_id == function_id
        assert error.dotnet_type == "System.BadImageFormatException"
        assert f"'{function_id}' could not be loaded: not a .NET assembly: " in str(error)
        assert error.reason in str(error)


def test_a_native_library_is_refused(calm: dwh.Runtime, native_dll: bytes) -> None:
    with pytest.raises(dwh.AssemblyLoadError, match=r"not a \.NET assembly"):
        calm.load_assembly("new", native_dll)


def test_a_module_without_a_manifest_is_refused(calm: dwh.Runtime, moody: dwh.Assembly) -> None:
    # Netmodules have no Assembly table. Its bit (0x20) is in the fifth byte of the valid mask.
    data = bytearray(moody.data)
    stream = data.index(b"#~\0\0")
    tables = data.index(b"BSJB") + int.from_bytes(data[stream - 8 : stream - 4], "little")
    data[tables + 12] &= 0xFE

    with pytest.raises(dwh.AssemblyLoadError, match="not an assembly"):
        calm.load_assembly("new", data)


@pytest.mark.parametrize("name", ["missing.dll", "missing/missing.dll", "."])
def test_a_file_that_cannot_be_read_is_named(calm: dwh.Runtime, tmp_path: Path, name: str) -> None:
    path = tmp_path / name

    with pytest.raises(dwh.AssemblyLoadError) as caught:
        calm.load_assembly("new", path)

    assert str(path) in str(caught.value)
    assert caught.value.dotnet_type == "System.IO.FileNotFoundException"
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("value", [None, 5, 1.5, [1, 2], {}, ...], ids=repr)
def test_an_assembly_of_another_type_is_refused(calm: dwh.Runtime, value: Any) -> None:
    with pytest.raises(dwh.MarshallingTypeError, match=type(value).__name__) as caught:
        calm.load_assembly("new", value)

    assert isinstance(caught.value, TypeError)


@pytest.mark.damages
def test_damaged_assemblies_fail_softly(image: dwh.RuntimeImage, moody: dwh.Assembly) -> None:
    # Whatever a flipped bit does, from nothing to a dead guest, it ends in a typed error.
    generator = random.Random(20261122)
    outcomes = set()
    options = dwh.WasiOptions(stderr=io.BytesIO(), stdout=io.BytesIO())
    with dwh.Runtime(image, limits=dwh.Limits(timeout=10), wasi=options) as runtime:
        runtime.load_assembly("calm", moody)
        for _ in range(300):
            data = bytearray(moody.data)
            for _ in range(generator.choice([1, 1, 4, 64])):
                data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
            try:
                runtime.load_assembly("damaged", data)
                runtime.invoke("damaged", b"echo x")
                outcomes.add("works")
            except dwh.DotnetHostError as error:
                outcomes.add(type(error).__name__)
                assert str(error)
            assert runtime.invoke("calm", b"echo x") == b"x"

        assert outcomes >= {"works", "AssemblyLoadError"}
        assert set(runtime.functions) <= {"calm", "damaged"}


# ---------------------------------------------------------------- assemblies without a handler

NO_HANDLERS = {
    "none": ("public class C;", "no class that implements MinimalRuntime.IFunctionHandler"),
    "same name only": (
        f"interface IFunctionHandler {{ }} public class C : IFunctionHandler {{ {EXECUTE} }}",
        "no class that implements MinimalRuntime.IFunctionHandler",
    ),
    "interface": (f"public interface C : {HANDLER};", "no class that implements"),
    "abstract": (f"public abstract class C : {HANDLER} {{ {EXECUTE} }}", "'C' is abstract"),
    "no default constructor": (
        f"public class C(int x) : {HANDLER} {{ int y = x; {EXECUTE} }}",
        "'C' has no public parameterless constructor",
    ),
    "private constructor": (
        f"public class C : {HANDLER} {{ private C() {{ }} {EXECUTE} }}",
        "'C' has no public parameterless constructor",
    ),
    "open generic": (f"public class C<T> : {HANDLER} {{ {EXECUTE} }}", "open generic type"),
}


@pytest.mark.parametrize("kind", NO_HANDLERS)
def test_an_assembly_without_a_usable_handler_says_why(
    calm: dwh.Runtime, compiled: CompiledSources, kind: str
) -> None:
    source, reason = NO_HANDLERS[kind]

    with pytest.raises(dwh.HandlerNotFound) as caught:
        calm.load_assembly("new", compiled(source))

    assert isinstance(caught.value, dwh.AssemblyLoadError)
    assert caught.value.function_id == "new"
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("handler_type", "reason"),
    [
        ("Missing", "no type 'Missing'"),
        ("programs.moody", "no type 'programs.moody'"),
        ("Programs.Moody, System.Linq", "no type"),
        ("Programs.Moody[]", "does not implement"),
        ("Programs.JsonHandler", "'Programs.JsonHandler' is abstract"),
        ("System.String", "no type 'System.String'"),
        ("x" * 5000, "no type"),
        ("ünï.cødé", "no type 'ünï.cødé'"),
    ],
)
def test_a_handler_type_that_is_none_is_named(
    calm: dwh.Runtime, moody: dwh.Assembly, handler_type: str, reason: str
) -> None:
    with pytest.raises(dwh.HandlerNotFound) as caught:
        calm.load_assembly("new", moody, handler_type=handler_type)

    assert reason in str(caught.value)


@pytest.mark.parametrize("handler_type", ["", "a\0b", "\ud800", "a\nb"])
def test_a_handler_type_that_cannot_be_a_name_is_refused(
    calm: dwh.Runtime, moody: dwh.Assembly, handler_type: str
) -> None:
    with pytest.raises(dwh.MarshallingError, match="handler_type"):
        calm.load_assembly("new", moody, handler_type=handler_type)


def test_a_handler_type_of_another_type_is_refused(calm: dwh.Runtime, moody: dwh.Assembly) -> None:
    with pytest.raises(dwh.MarshallingTypeError, match=r"handler_type .* int"):
        calm.load_assembly("new", moody, handler_type=5)  # type: ignore[arg-type]


# ---------------------------------------------------------------- failing constructors


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (
            'public C() => throw new System.FormatException("not today");',
            "System.FormatException",
            "not today",
        ),
        (
            "public C() { string? s = null; s!.Trim(); }",
            "System.NullReferenceException",
            "System.NullReferenceException",
        ),
        (
            'static readonly int Number = int.Parse("many"); public C() { _ = Number; }',
            "System.TypeInitializationException",
            "'many' was not in a correct format",
        ),
    ],
    ids=["constructor", "null reference", "static initialiser"],
)
def test_a_constructor_that_throws_is_a_failed_load(
    calm: dwh.Runtime, compiled: CompiledSources, body: str, kind: str, reason: str
) -> None:
    assembly = compiled(f"public class C : {HANDLER} {{ {body} {EXECUTE} }}")

    with pytest.raises(dwh.AssemblyLoadError, match="constructor") as caught:
        calm.load_assembly("new", assembly)

    error = caught.value
    assert type(error) is dwh.AssemblyLoadError
    assert error.function_id == "new"
    assert error.dotnet_type == kind
    assert reason in str(error)
    assert error.stack_trace


def test_a_failed_replacement_leaves_the_id_unloaded(
    calm: dwh.Runtime, compiled: CompiledSources, moody: dwh.Assembly
) -> None:
    constructor = "public C() => int.Parse(null!);"
    throwing = compiled(f"public class C : {HANDLER} {{ {constructor} {EXECUTE} }}")
    for content, error in (
        (compiled(NO_HANDLERS["none"][0]), dwh.HandlerNotFound),
        (throwing, dwh.AssemblyLoadError),
    ):
        old = calm.load_assembly("replaced", moody)

        with pytest.raises(error):
            calm.load_assembly("replaced", content)

        assert old.state is dwh.FunctionState.UNLOADED
        assert "replaced" not in calm.functions
        with pytest.raises(dwh.FunctionNotLoaded):
            calm.invoke("replaced", b"count")
        assert calm.unload_assembly("replaced") is False


def test_an_assembly_that_is_none_leaves_the_old_function(
    calm: dwh.Runtime, moody: dwh.Assembly
) -> None:
    # It was never handed to .NET, so there was nothing to unload for.
    old = calm.load_assembly("kept", moody)
    with pytest.raises(dwh.AssemblyLoadError):
        calm.load_assembly("kept", b"junk")

    assert old.is_alive
    assert calm.unload_assembly("kept") is True


# ---------------------------------------------------------------- handlers that misbehave


def test_a_handler_that_returns_null_is_told_so(calm: dwh.Runtime, moody: dwh.Assembly) -> None:
    calm.load_assembly("new", moody)
    with pytest.raises(dwh.InvocationError, match="returned null") as caught:
        calm.invoke("new", b"null")

    assert "Programs.Moody" in str(caught.value)
    assert calm.invoke("new", b"count") == b"2"
    calm.unload_assembly("new")


def test_a_result_over_the_limit_is_refused(image: dwh.RuntimeImage, moody: dwh.Assembly) -> None:
    with dwh.Runtime(image, limits=dwh.Limits(result_bytes=1000)) as runtime:
        runtime.load_assembly("f", moody)
        assert len(runtime.invoke("f", b"bytes 1000")) == 1000
        with pytest.raises(dwh.LimitExceeded, match=r"'f' returned 1001 bytes.*1000"):
            runtime.invoke("f", b"bytes 1001")
        with pytest.raises(dwh.LimitExceeded, match="20000000"):
            runtime.invoke("f", b"bytes 20000000")
        assert runtime.invoke("f", b"count") == b"4"
        assert runtime.stats().failed_invocations == 2


def test_the_limit_of_results_does_not_limit_the_protocol(
    image: dwh.RuntimeImage, moody: dwh.Assembly
) -> None:
    # Load reports and error records are not results.
    with dwh.Runtime(image, limits=dwh.Limits(result_bytes=0)) as runtime:
        runtime.load_assembly("f", moody)
        assert list(runtime.functions) == ["f"]
        assert runtime.invoke("f", b"echo") == b""
        with pytest.raises(dwh.LimitExceeded):
            runtime.invoke("f", b"count")
        with pytest.raises(dwh.InvocationError, match="a message"):
            runtime.invoke("f", b"throw a message")
        assert runtime.stats().loads == 1
        with pytest.raises(dwh.HandlerNotFound):
            runtime.load_assembly("g", moody, handler_type="Missing")


def test_a_payload_over_the_limit_is_refused(image: dwh.RuntimeImage, moody: dwh.Assembly) -> None:
    with dwh.Runtime(image, limits=dwh.Limits(payload_bytes=10)) as runtime:
        runtime.load_assembly("f", moody)
        assert runtime.invoke("f", b"echo 12345") == b"12345"
        for payload in (b"echo 123456", bytearray(b"echo 123456"), bytes(10_000_000)):
            with pytest.raises(dwh.LimitExceeded, match=rf"{len(payload)} bytes.*10"):
                runtime.invoke("f", payload)
        assert runtime.invoke("f", b"count") == b"2"


def test_a_payload_that_memory_has_no_room_for_is_refused(
    image: dwh.RuntimeImage, moody: dwh.Assembly
) -> None:
    limits = dwh.Limits(memory_bytes=64 << 20, payload_bytes=1 << 30)
    with dwh.Runtime(image, limits=limits) as runtime:
        runtime.load_assembly("f", moody)
        with pytest.raises(dwh.GuestOutOfMemory, match="100000000"):
            runtime.invoke("f", bytes(100_000_000))
        assert runtime.invoke("f", b"echo x") == b"x"


def test_a_guest_that_prints_megabytes_is_stopped_at_the_limit(
    image: dwh.RuntimeImage, moody: dwh.Assembly, compiled: CompiledSources
) -> None:
    endless = compiled(
        f"public class C : {HANDLER} {{ public byte[] Execute(System.ReadOnlySpan<byte> i) {{"
        " while (true) System.Console.WriteLine(new string((char)120, 999)); } }"
    )
    out = io.BytesIO()
    with dwh.Runtime(
        image, limits=dwh.Limits(output_bytes=3_000_000), wasi=dwh.WasiOptions(stdout=out)
    ) as runtime:
        runtime.load_assembly("calm", moody)
        runtime.load_assembly("endless", endless)
        with pytest.raises(dwh.LimitExceeded, match="output_bytes=3000000"):
            runtime.invoke("endless", timeout=60)
        assert runtime.invoke("calm", b"print still here") == b"still here"

    printed = out.getvalue()
    assert printed.endswith(b"still here\n")
    assert len(printed) <= 3_000_000 + len("still here\n")
    assert set(printed.splitlines()) <= {b"x" * 999, b"still here"} | {printed.splitlines()[-1]}


# ---------------------------------------------------------------- ids

BAD_IDS: dict[str, tuple[Any, type[dwh.DotnetHostError], str]] = {
    "empty": ("", dwh.MarshallingError, "empty"),
    "too long": ("x" * 1025, dwh.MarshallingError, "1025 bytes"),
    "too long in UTF-8": ("é" * 513, dwh.MarshallingError, "1026 bytes"),
    "far too long": ("x" * 10_000_000, dwh.MarshallingError, "10000000 bytes"),
    "NUL": ("a\0b", dwh.MarshallingError, "NUL"),
    "high surrogate": ("a\ud800", dwh.MarshallingError, "surrogate"),
    "low surrogate": ("\udfffa", dwh.MarshallingError, "surrogate"),
    "pair of surrogates": ("\ud83d\ude00", dwh.MarshallingError, "surrogate"),
    "bytes": (b"id", dwh.MarshallingTypeError, "bytes"),
    "number": (5, dwh.MarshallingTypeError, "int"),
    "none": (None, dwh.MarshallingTypeError, "NoneType"),
    "list": (["id"], dwh.MarshallingTypeError, "list"),
}


@pytest.mark.parametrize("kind", BAD_IDS)
def test_an_id_that_cannot_be_one_is_refused(
    calm: dwh.Runtime, moody: dwh.Assembly, kind: str
) -> None:
    function_id, error, text = BAD_IDS[kind]

    with pytest.raises(error, match=text) as caught:
        calm.load_assembly(function_id, moody)

    assert type(caught.value) is error
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("kind", [*BAD_IDS, "unknown"])
def test_an_unknown_id_is_not_loaded(calm: dwh.Runtime, kind: str) -> None:
    function_id: Any = "unknown" if kind == "unknown" else BAD_IDS[kind][0]

    with pytest.raises(dwh.FunctionNotLoaded, match="not loaded") as caught:
        calm.invoke(function_id, b"count")
    assert isinstance(caught.value, KeyError)
    assert caught.value.function_id == function_id
    with pytest.raises(dwh.FunctionNotLoaded):
        calm.invoke_many(function_id, [b"count"])
    assert calm.unload_assembly(function_id) is False
    assert calm.functions.get(function_id) is None


# ---------------------------------------------------------------- payloads and timeouts


@pytest.mark.parametrize("payload", ["text", None, 5, 1.5, [1, 2], {}, ...], ids=repr)
def test_a_payload_of_another_type_is_refused(
    runtime: dwh.Runtime, moody: dwh.Assembly, payload: Any
) -> None:
    function = runtime.load_assembly("f", moody)

    calls: list[Callable[[], object]] = [
        lambda: runtime.invoke("f", payload),
        lambda: runtime.invoke_many("f", [payload]),
        lambda: function.invoke(payload),
    ]
    for call in calls:
        with pytest.raises(dwh.MarshallingTypeError, match=type(payload).__name__) as caught:
            call()
        assert isinstance(caught.value, TypeError)
        assert isinstance(caught.value, ValueError)

    assert runtime.invoke("f", b"count") == b"1"
    assert runtime.stats().recycles == 0


@pytest.mark.parametrize("payloads", [None, 5, ...], ids=repr)
def test_payloads_that_are_no_sequence_are_refused(
    runtime: dwh.Runtime, moody: dwh.Assembly, payloads: Any
) -> None:
    runtime.load_assembly("f", moody)

    with pytest.raises(TypeError):
        runtime.invoke_many("f", payloads)
    assert runtime.invoke("f", b"count") == b"1"


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        (0, dwh.MarshallingError),
        (-1.5, dwh.MarshallingError),
        (float("nan"), dwh.MarshallingError),
        (float("-inf"), dwh.MarshallingError),
        ("1", dwh.MarshallingTypeError),
        ([1], dwh.MarshallingTypeError),
    ],
    ids=repr,
)
def test_a_timeout_that_is_none_is_refused(
    runtime: dwh.Runtime, moody: dwh.Assembly, timeout: Any, error: type[Exception]
) -> None:
    function = runtime.load_assembly("f", moody)

    with pytest.raises(error, match="timeout"):
        runtime.invoke("f", b"count", timeout=timeout)
    with pytest.raises(error, match="timeout"):
        function.invoke(b"count", timeout=timeout)

    assert runtime.invoke("f", b"count", timeout=60) == b"1"


@pytest.mark.parametrize(
    "timeout",
    [1e6, 1e15, 2.0**55, 1e300, float("inf"), 10**400],
    ids=["days", "ages", "2**55", "1e300", "infinity", "10**400"],
)
def test_a_huge_timeout_never_comes(
    runtime: dwh.Runtime, moody: dwh.Assembly, timeout: float
) -> None:
    runtime.load_assembly("f", moody)

    assert runtime.invoke("f", b"sleep 50", timeout=timeout) == b"50"
    assert runtime.invoke("f", b"count") == b"2"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"memory_bytes": 1 << 20}, "64 MiB"),
        ({"memory_bytes": 1 << 40}, "2 GiB"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"payload_bytes": -1}, "payload_bytes"),
        ({"result_bytes": -1}, "result_bytes"),
        ({"function_count": -1}, "function_count"),
    ],
)
def test_limits_that_make_no_sense_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        dwh.Limits(**options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"env": {"A=B": "x"}}, "A=B"),
        ({"env": {"": "x"}}, "environment"),
        ({"env": {"A": "x\0"}}, "NUL"),
        ({"args": ("a\0b",)}, "NUL"),
        ({"files": {"relative": b""}}, "relative"),
        ({"files": {"/a/../b": b""}}, r"/a/\.\./b"),
    ],
)
def test_a_world_that_makes_no_sense_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        dwh.WasiOptions(**options)


def test_an_image_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="'huge'"):
        dwh.Runtime("huge")


def test_an_engine_beside_an_image_is_refused(image: dwh.RuntimeImage) -> None:
    with pytest.raises(ValueError, match="engine"):
        dwh.Runtime(image, engine="wasmtime")


def test_an_engine_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="'v8'"):
        dwh.Runtime(engine="v8")
