"""Functions that need more than a trimmed image has are refused by name, before they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.images.frozen import FrozenRuntime
from dotnet_wasm_host.images.image import frozen_of
from dotnet_wasm_host.trimming.api_surface import ApiSurface
from dotnet_wasm_host.trimming.trimmer import TrimmedSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import CompiledSources

FUNCTION = """
using System; {usings}
{attribute}
public sealed class F : MinimalRuntime.IFunctionHandler {{
    public byte[] Execute(ReadOnlySpan<byte> input) {{ {body} return input.ToArray(); }}
}}
"""
CASES = {
    "a member of a type that is there": (
        *("", "", "_ = Environment.MachineName;"),
        *("System.MissingMethodException", r"System\.Environment\.get_MachineName\(\)"),
    ),
    "a type": (
        *("", "", "_ = new System.Threading.ReaderWriterLockSlim();"),
        *("System.TypeLoadException", r"System\.Threading\.ReaderWriterLockSlim"),
    ),
    "an assembly": (
        *("", "", '_ = new System.Text.RegularExpressions.Regex("a");'),
        *("System.IO.FileNotFoundException", r"System\.Text\.RegularExpressions\.Regex"),
    ),
    # Mono would assert, and end the instance, when it looks at the assembly's attributes.
    "an attribute of the assembly": (
        *("", "[assembly: System.Runtime.InteropServices.TypeLibVersion(1, 2)]", ""),
        "System.IO.FileNotFoundException",
        r"System\.Runtime\.InteropServices\.TypeLibVersionAttribute",
    ),
}


@pytest.fixture(scope="module")
def surface(minimal: TrimmedSet, framework: Mapping[str, bytes]) -> ApiSurface:
    return ApiSurface("minimal", lambda: minimal.assemblies, framework, minimal.report.hidden)


@pytest.mark.parametrize("case", CASES)
def test_what_is_missing_is_named_before_the_function_runs(
    surface: ApiSurface, minimal_image: dwh.RuntimeImage, compiled: CompiledSources, case: str
) -> None:
    usings, attribute, body, dotnet_type, name = CASES[case]
    function = compiled(FUNCTION.format(usings=usings, attribute=attribute, body=body))
    frozen = FrozenRuntime("minimal", minimal_image.engine, frozen_of(minimal_image).parts)
    frozen.api = surface
    image = dwh.RuntimeImage(frozen)
    with dwh.Runtime(image) as runtime:
        with pytest.raises(dwh.AssemblyLoadError, match=name) as refused:
            runtime.load_assembly("f", function)
        assert refused.value.dotnet_type == dotnet_type
        assert "image 'minimal' does not have" in str(refused.value)
        assert "'full'" in str(refused.value)
        assert "f" not in runtime.functions


def test_what_is_there_is_not_refused(surface: ApiSurface, compiled: CompiledSources) -> None:
    body = "var text = System.Text.Encoding.UTF8.GetString(input) + input.Length;"
    function = compiled(FUNCTION.format(usings="", attribute="", body=body))
    assert surface.missing({function.name: function.data}) == []


def test_assemblies_beside_the_base_library_are_left_to_dotnet(
    surface: ApiSurface, compiled: CompiledSources
) -> None:
    library = compiled("public static class Helper { public static int One => 1; }")
    source = FUNCTION.format(usings="", attribute="", body="_ = Helper.One;")
    function = compiled(source, references=(library,))
    assert surface.missing({function.name: function.data}) == []
    assert surface.missing({a.name: a.data for a in (function, library)}) == []
