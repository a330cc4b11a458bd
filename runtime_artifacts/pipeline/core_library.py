"""What of the base library is replaced: methods by C# of this project, an instruction by another.

``runtime_artifacts/guest/CoreLibrary`` has the C#; docs/artifacts.md says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.trimming.module import CORE, Module
from runtime_artifacts.pipeline.weaving import Edit, Guard, Replacement, edited, find, weave

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["CODE", "CORE", "EDITS", "REPLACEMENTS", "patched", "unknown"]

#: The compiled C#, in ``guest/bin``.
CODE = "core/MinimalRuntime.CoreLibrary.dll"
_WAITS = "System.Threading.HostWaits::"
_FRAMES = "System.Diagnostics.HostFrames::"
_FAULTS = "System.HostFaults::"
_EMIT = "System.Reflection.Emit."
#: Hashes are :func:`~.weaving.body_hash` of .NET 10.0.10's.
REPLACEMENTS = (
    Replacement(
        "System.Threading.LowLevelMonitor",
        "WaitCore",
        0,
        "9e56c70dd427e4d41ddd867145e869cd2c2bb0bd5312f8e205d7ff1c5637bf04",
        _WAITS + "WaitForSignal",
    ),
    Replacement(
        "System.Threading.LowLevelMonitor",
        "WaitCore",
        1,
        "24a8820897142d6757bcf9a306f9ecf5e01ecb2a84cd949973c9ce4d16689772",
        _WAITS + "WaitForSignal",
    ),
    Replacement(
        "System.Threading.WaitSubsystem",
        "Sleep",
        2,
        "ca70555743f31beede764f8af707062ee88117cf51f4e462b42fd24773d7921a",
        _WAITS + "Sleep",
    ),
    Replacement(
        "System.Threading.Thread",
        "Yield",
        0,
        "88286f5712dc9a87f23b1704d4922180400e141e59d0dfa83f62689ffde37dcc",
        _WAITS + "Yield",
    ),
    Replacement(
        "System.Threading.Thread",
        "Join",
        1,
        "a012abac8ee423b2a9d585982e34b6e9620499714d8dd1274eecd11a38e87094",
        _WAITS + "Join",
    ),
    Replacement(
        "System.Threading.SpinLock",
        "ContinueTryEnter",
        2,
        "15b8c1563403894181ab267648975ecb14f1a14a633fff7d264a29861b5bbbd2",
        _WAITS + "EnterSpinLock",
    ),
    Replacement(
        "System.Threading.Monitor",
        "ObjWait",
        2,
        "88b6199f67ea0520912a9ff9e88f57f63b89e42105d3fd1936c675440e8e2342",
        _WAITS + "WaitForPulse",
    ),
    Replacement(
        "System.Threading.Monitor",
        "ObjPulse",
        1,
        "601390abc9d8c342a73534d1049542e382d268bc35e16e7156318a247d5c7883",
        _WAITS + "Pulse",
    ),
    Replacement(
        "System.Threading.Monitor",
        "ObjPulseAll",
        1,
        "ee755de2d2c66f02c2f33af88ad802624542f0fd249369ba10f1f5f55940fc60",
        _WAITS + "PulseAll",
    ),
    Replacement(
        "System.Diagnostics.StackFrame",
        ".ctor",
        2,
        "4c841a179fcd541edae091a0d0560e0aebe4ded78cda5c58b597200632b553e5",
        _FRAMES + "Take",
    ),
    Replacement(
        "System.Runtime.InteropServices.Marshal",
        "GetFunctionPointerForDelegate",
        1,
        "b14d20d6a43aeef067bef73cacf384c3b0d7ed22c811bd0959146b7468446e11",
        _FAULTS + "GetFunctionPointer",
    ),
    Guard(
        "System.Array",
        "CopySlow",
        6,
        "8c77624c15ef69218b81b21693265fe7dba961dfc166e96b204ab42491ba0f0f",
        _FAULTS + "CopyArrays",
    ),
    Guard(
        _EMIT + "RuntimePropertyBuilder",
        "SetConstantCore",
        1,
        "aba79a867df0dae98349786f16acc28e2329e7011b729889606a94d6d8d15930",
        _FAULTS + "RefuseConstant",
    ),
    Guard(
        _EMIT + "RuntimeFieldBuilder",
        "SetConstantCore",
        1,
        "01ce617d16d2bc212b44a87b74b47fb1d49d5f99eb4169252e50f642b67142e7",
        _FAULTS + "RefuseConstant",
    ),
    Guard(
        _EMIT + "RuntimeParameterBuilder",
        "SetConstant",
        1,
        "8e4d595c74f478ad59022d9799a86a14c9fc252856540e2345b2de67c83a6efd",
        _FAULTS + "RefuseConstant",
    ),
)


_DISCONTINUOUS_WAIT = "78082c1bc0f6bb1bbe0d2b922b5c3b029fb09f91b8d09cd4316e1539d2cff83c"
EDITS = (
    # A barrier waits for its phase in pieces of ten seconds, so no wait would be one without end:
    # ldloc.0, the length of a piece where there is no timeout, becomes ldc.i4.m1.
    Edit("System.Threading", "System.Threading.Barrier", "DiscontinuousWait", 4,
         _DISCONTINUOUS_WAIT, 0x18, b"\x06", b"\x15"),
)  # fmt: skip


def patched(framework: Mapping[str, bytes], code: bytes) -> dict[str, bytes]:
    """The assemblies that change, with everything replaced.

    Args:
        framework: raw webcil by simple name.
        code: the compiled C#.

    Raises:
        MalformedImage: a method is not there or has another body.
    """
    changed = {CORE: weave(framework[CORE], code, REPLACEMENTS)}
    for edit in EDITS:
        assembly = changed.get(edit.assembly, framework[edit.assembly])
        changed[edit.assembly] = edited(assembly, edit)
    return changed


def unknown(framework: Mapping[str, bytes]) -> Iterator[str]:
    """For each method that is not what is to be replaced, a sentence that says so."""
    places: list[tuple[str, Replacement | Guard | Edit]] = [(CORE, one) for one in REPLACEMENTS]
    places += [(edit.assembly, edit) for edit in EDITS]
    modules: dict[str, Module] = {}
    for name, one in places:
        try:
            if name not in modules:
                modules[name] = Module(0, name, framework[name], is_root=False)
            find(modules[name], one)
        except (MalformedImage, KeyError) as error:
            yield str(error)
