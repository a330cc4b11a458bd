"""What the trimmer keeps and what it takes out, on a library made for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, final

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.ecma335.rows import ParamRow, PropertyRow
from dotnet_wasm_host.trimming.module import Module
from dotnet_wasm_host.trimming.trimmer import TrimmedSet, TrimOptions, trim
from tests.trimming.conftest import NO_EMIT, WARM_UP, image_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.conftest import CompiledSources

PROGRAMS = Path(__file__).with_name("programs")
DESCRIPTOR = """
<linker>
  <assembly fullname="Subject">
    <type fullname="Subject.Described">
      <method signature="System.String Kept()" />
      <field name="field" />
      <property name="Property" />
    </type>
    <type fullname="Subject.DescribedWhole" preserve="all" />
    <type fullname="Subject.Statics">
      <method signature="System.Int32 Exported(System.Int32)" />
    </type>
    <type fullname="Subject.UnusedType" feature="Subject.Fancy" featurevalue="true" />
  </assembly>
</linker>
"""
SUBSTITUTION = """
<linker>
  <assembly fullname="Subject">
    <type fullname="Subject.Switches" feature="Subject.Fancy" featurevalue="false">
      <method signature="System.String Stubbed()" body="stub" />
    </type>
  </assembly>
</linker>
"""
QUESTIONS = (
    *("layout", "override", "interfaces", "static virtual", "made", "name", "properties"),
    *("dependency", "open generic", "attribute", "enum", "delegate", "static", "finalizer"),
    "message",
)


def _descriptor(assembly: str, content: str) -> str:
    return f'<linker><assembly fullname="{assembly}">{content}</assembly></linker>'


@final
class Trimmed:
    """The library after trimming, and the image with it."""

    def __init__(self, result: TrimmedSet, caller: dwh.Assembly) -> None:
        self.result = result
        self.caller = caller
        self.subject = Module(0, "Subject", result.assemblies["Subject"], is_root=False)
        self.core = Module(0, "Core", result.assemblies["System.Private.CoreLib"], is_root=False)

    def members(self, type_name: str) -> set[str]:
        """Names of methods and fields of a type; empty if it is gone."""
        row = self.subject.by_name.get(f"Subject.{type_name}")
        if row is None:
            return set()
        module = self.subject
        return {module.method_name(m) for m in module.methods(row)} | {
            module.field_name(f) for f in module.fields(row)
        }

    def interfaces(self, type_name: str) -> int:
        return len(self.subject.interfaces.get(self.subject.by_name[f"Subject.{type_name}"], []))


@pytest.fixture(scope="module")
def subject(compiled: CompiledSources) -> dwh.Assembly:
    text = (PROGRAMS / "Subject.cs").read_text("utf-8")
    return compiled(text, assembly_name="Subject")


@pytest.fixture(scope="module")
def caller(compiled: CompiledSources, subject: dwh.Assembly) -> dwh.Assembly:
    text = (PROGRAMS / "Caller.cs").read_text("utf-8")
    return compiled(text, assembly_name="Caller", references=(subject,))


@pytest.fixture(scope="module")
def trimmed(framework: Mapping[str, bytes], subject: dwh.Assembly, caller: dwh.Assembly) -> Trimmed:
    options = TrimOptions(
        roots=("MinimalRuntime", WARM_UP, "Caller"),
        features={**NO_EMIT, "Subject.Fancy": False},
        descriptors=(("test.xml", DESCRIPTOR),),
        substitutions=(("stubs.xml", SUBSTITUTION),),
        reflected=True,
    )
    assemblies = {**framework, "Subject": subject.data, "Caller": caller.data}
    return Trimmed(trim(assemblies, options), caller)


@pytest.fixture(scope="module")
def on_trimmed(trimmed: Trimmed) -> Iterator[dwh.Runtime]:
    image = image_of(trimmed.result, without=("Caller",))
    with dwh.Runtime(image) as runtime:
        runtime.load_assembly("caller", trimmed.caller)
        yield runtime


@pytest.fixture(scope="module")
def on_full(
    image: dwh.RuntimeImage, subject: dwh.Assembly, caller: dwh.Assembly
) -> Iterator[dwh.Runtime]:
    with dwh.Runtime(image) as runtime:
        runtime.load_assembly("caller", caller, dependencies=[subject])
        yield runtime


@pytest.mark.parametrize("question", QUESTIONS)
def test_trimmed_and_untrimmed_answer_alike(
    on_trimmed: dwh.Runtime, on_full: dwh.Runtime, question: str
) -> None:
    answer = on_full.invoke("caller", question.encode())
    assert answer not in {b"?", b""}
    assert on_trimmed.invoke("caller", question.encode()) == answer


def test_what_nobody_reaches_is_gone(trimmed: Trimmed) -> None:
    left = {name for name in trimmed.subject.by_name if "Unused" in name}
    members = {
        f"{name}::{member}"
        for name in trimmed.subject.by_name
        for member in trimmed.members(name.removeprefix("Subject."))
        if member.startswith(("Unused", "unused"))
    }
    assert (left, members) == (set(), set())


def test_all_instance_fields_of_a_kept_type_stay(trimmed: Trimmed) -> None:
    assert {"Written", "never"} <= trimmed.members("Layout")
    assert {"First", "Last"} <= trimmed.members("LayoutShape")


def test_overrides_stay_where_objects_can_exist(trimmed: Trimmed) -> None:
    assert "Speak" in trimmed.members("Dog")
    assert "Speak" in trimmed.members("Animal")
    # Only its static method is called.
    assert trimmed.members("NeverMade") == {"Name"}


def test_interfaces_stay_where_objects_are_used_as_them(trimmed: Trimmed) -> None:
    assert "Area" in trimmed.members("Square")
    assert {"Subject.IShape.Area", "Subject.IShape.Describe"} <= trimmed.members("Circle")
    assert trimmed.interfaces("Both") == 1


def test_static_virtual_members_stay_with_the_types_they_are_called_on(trimmed: Trimmed) -> None:
    assert {"Parse", "Kind"} <= trimmed.members("Meters")
    assert "Parse" in trimmed.members("Feet")
    assert {"Parse", "Kind"} <= trimmed.members("IParser`1")


def test_a_feature_that_is_off_is_folded_and_its_code_removed(
    trimmed: Trimmed, on_trimmed: dwh.Runtime
) -> None:
    assert on_trimmed.invoke("caller", b"switch") == b"plainp;pcaught;p;"
    assert "Subject.Fancy" not in trimmed.subject.by_name


def test_a_substitution_replaces_a_body(on_trimmed: dwh.Runtime) -> None:
    assert on_trimmed.invoke("caller", b"stub") == b"null"


def test_embedded_substitutions_apply(trimmed: Trimmed) -> None:
    # CoreLib's own file stubs EventSource.IsEnabled.
    assert "System.Diagnostics.Tracing.ManifestBuilder" not in trimmed.core.by_name


def test_a_descriptor_keeps_what_it_names(trimmed: Trimmed) -> None:
    assert trimmed.members("Described") == {"Kept", "field", "get_Property"}
    row = trimmed.subject.by_name["Subject.Described"]
    assert len(trimmed.subject.methods_named(row, "Kept")) == 1
    assert {"Any", ".ctor"} <= trimmed.members("DescribedWhole")


def test_types_in_arrays_of_attribute_arguments_stay(trimmed: Trimmed) -> None:
    assert "System.Runtime.CompilerServices.CallConvFastcall" in trimmed.core.by_name


def test_members_reached_by_annotated_reflection_stay(trimmed: Trimmed) -> None:
    assert {"get_Number", "set_Number"} <= trimmed.members("ReflectedMembers")
    assert "Secret" in trimmed.members("DependedOn")
    assert len(trimmed.subject.metadata.rows(PropertyRow)) >= 1


def test_properties_of_declared_types_stay_where_reflection_is_wanted(trimmed: Trimmed) -> None:
    metadata = trimmed.subject.metadata
    names = {metadata.string(row.name) for row in metadata.rows(PropertyRow)}
    # Whole, and kept by its accessor's name alone.
    assert {"Whole", "Property"} <= names
    parameters = {metadata.string(row.name) for row in metadata.rows(ParamRow)}
    assert "named" in parameters


def test_what_mono_needs_of_the_core_stays(trimmed: Trimmed) -> None:
    array = trimmed.core.by_name["System.Array"]
    names = {trimmed.core.method_name(m) for m in trimmed.core.methods(array)}
    assert {"InternalArray__get_Item", "InternalArray__ICollection_get_Count"} <= names
    string = trimmed.core.by_name["System.String"]
    assert "Empty" in {trimmed.core.field_name(f) for f in trimmed.core.fields(string)}


def test_messages_that_are_used_stay_and_others_go(
    trimmed: Trimmed, framework: Mapping[str, bytes]
) -> None:
    (kept,) = trimmed.core.resources().values()
    core = Module(0, "Core", framework["System.Private.CoreLib"], is_root=False)
    whole = core.resources()["System.Private.CoreLib.Strings.resources"]
    key = "Arg_KeyNotFoundWithKey".encode("utf-16-le")
    assert key in kept
    assert key in whole
    assert len(kept) < len(whole) / 2


def test_roots_are_left_as_they_are(trimmed: Trimmed, caller: dwh.Assembly) -> None:
    assert trimmed.result.assemblies["Caller"] == caller.data


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<linker", "not readable XML"),
        ("<other/>", "starts with <other>"),
        (_descriptor("Nowhere", '<type fullname="A"/>'), "assembly Nowhere"),
        (_descriptor("Subject", '<type fullname="A"/>'), "type A"),
        (
            _descriptor("Subject", '<type fullname="Subject.Dog"><method name="Meow"/></type>'),
            "method Meow of Subject.Dog",
        ),
        (
            _descriptor("Subject", '<type fullname="Subject.Dog" preserve="some"/>'),
            'preserve="some"',
        ),
    ],
)
def test_a_descriptor_that_makes_no_sense_says_so(
    framework: Mapping[str, bytes], subject: dwh.Assembly, text: str, message: str
) -> None:
    assemblies = {**framework, "Subject": subject.data}
    with pytest.raises(dwh.DescriptorError, match=message) as refused:
        trim(assemblies, TrimOptions(descriptors=(("mine.xml", text),)))
    assert "mine.xml" in str(refused.value)


def test_a_root_that_is_not_there_is_named(framework: Mapping[str, bytes]) -> None:
    with pytest.raises(dwh.ArtifactError, match="Nowhere"):
        trim(framework, TrimOptions(roots=("Nowhere",)))
