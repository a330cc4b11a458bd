"""What of the base library is replaced: methods by C# of this project, an instruction by another.

``runtime_artifacts/guest`` has the C#; docs/artifacts.md says why. Hashes are
:func:`~.weaving.body_hash` of .NET 10.0.10's bodies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.trimming.module import CORE, Module
from runtime_artifacts.pipeline.weaving import Edit, Guard, Replacement, Weave, edited, find, weave

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["ASSEMBLIES", "CODE_FILES", "EDITS", "INSIDE_CORE", "WEAVES", "patched", "unknown"]

_WAITS = "System.Threading.HostWaits::"
_FRAMES = "System.Diagnostics.HostFrames::"
_FAULTS = "System.HostFaults::"
_EMIT = "System.Reflection.Emit."
_NORMALIZATION = "System.Globalization.Normalization"
_TEXT = "MinimalRuntime.Platform.TextNormalization::"
_ZONES = "MinimalRuntime.Platform.TimeZoneNames::"
_CONSOLE = "MinimalRuntime.Platform.ConsoleDevice::"
#: Of ``throw new PlatformNotSupportedException()``.
_REFUSES = "5e5334213ad11b033b96c1a1dac8e9d84e30afd14f593a93e74957a149464648"

# fmt: off
#: Compiled against the core library with everything public: waits, stack frames, faults.
INSIDE_CORE = Weave(CORE, "core/MinimalRuntime.CoreLibrary.dll", (
    Replacement("System.Threading.LowLevelMonitor", "WaitCore", 0,
        "9e56c70dd427e4d41ddd867145e869cd2c2bb0bd5312f8e205d7ff1c5637bf04",
        _WAITS + "WaitForSignal"),
    Replacement("System.Threading.LowLevelMonitor", "WaitCore", 1,
        "24a8820897142d6757bcf9a306f9ecf5e01ecb2a84cd949973c9ce4d16689772",
        _WAITS + "WaitForSignal"),
    Replacement("System.Threading.WaitSubsystem", "Sleep", 2,
        "ca70555743f31beede764f8af707062ee88117cf51f4e462b42fd24773d7921a", _WAITS + "Sleep"),
    Replacement("System.Threading.Thread", "Yield", 0,
        "88286f5712dc9a87f23b1704d4922180400e141e59d0dfa83f62689ffde37dcc", _WAITS + "Yield"),
    Replacement("System.Threading.Thread", "Join", 1,
        "a012abac8ee423b2a9d585982e34b6e9620499714d8dd1274eecd11a38e87094", _WAITS + "Join"),
    Replacement("System.Threading.SpinLock", "ContinueTryEnter", 2,
        "15b8c1563403894181ab267648975ecb14f1a14a633fff7d264a29861b5bbbd2",
        _WAITS + "EnterSpinLock"),
    Replacement("System.Threading.Monitor", "ObjWait", 2,
        "88b6199f67ea0520912a9ff9e88f57f63b89e42105d3fd1936c675440e8e2342",
        _WAITS + "WaitForPulse"),
    Replacement("System.Threading.Monitor", "ObjPulse", 1,
        "601390abc9d8c342a73534d1049542e382d268bc35e16e7156318a247d5c7883", _WAITS + "Pulse"),
    Replacement("System.Threading.Monitor", "ObjPulseAll", 1,
        "ee755de2d2c66f02c2f33af88ad802624542f0fd249369ba10f1f5f55940fc60", _WAITS + "PulseAll"),
    Replacement("System.Diagnostics.StackFrame", ".ctor", 2,
        "4c841a179fcd541edae091a0d0560e0aebe4ded78cda5c58b597200632b553e5", _FRAMES + "Take"),
    Replacement("System.Runtime.InteropServices.Marshal", "GetFunctionPointerForDelegate", 1,
        "b14d20d6a43aeef067bef73cacf384c3b0d7ed22c811bd0959146b7468446e11",
        _FAULTS + "GetFunctionPointer"),
    Guard("System.Array", "CopySlow", 6,
        "8c77624c15ef69218b81b21693265fe7dba961dfc166e96b204ab42491ba0f0f", _FAULTS + "CopyArrays"),
    Guard(_EMIT + "RuntimePropertyBuilder", "SetConstantCore", 1,
        "aba79a867df0dae98349786f16acc28e2329e7011b729889606a94d6d8d15930",
        _FAULTS + "RefuseConstant"),
    Guard(_EMIT + "RuntimeFieldBuilder", "SetConstantCore", 1,
        "01ce617d16d2bc212b44a87b74b47fb1d49d5f99eb4169252e50f642b67142e7",
        _FAULTS + "RefuseConstant"),
    Guard(_EMIT + "RuntimeParameterBuilder", "SetConstant", 1,
        "8e4d595c74f478ad59022d9799a86a14c9fc252856540e2345b2de67c83a6efd",
        _FAULTS + "RefuseConstant"),
))
#: What ICU would know. Compiled as everybody's C# is, like the console.
_FOR_ICU = Weave(CORE, "MinimalRuntime.Platform.dll", (
    Replacement(_NORMALIZATION, "IsNormalized", 2,
        "4919167897f30e003afa67faca193ddf986616c22e57da1f4a8b34a2931033a8", _TEXT + "IsNormalized"),
    Replacement(_NORMALIZATION, "Normalize", 2,
        "2692d47956d6d791eb4b8e0be63ed0cd60051951e1c65898da189479979c6e94", _TEXT + "Normalize"),
    Replacement(_NORMALIZATION, "TryNormalize", 4,
        "074aa236798aac556fa6be30896e662212c859641640af3ce6a1da468f3e10bc", _TEXT + "TryNormalize"),
    Replacement(_NORMALIZATION, "GetNormalizedLength", 2,
        "dc0d4180a75c21cac9ff0ec7d20748aaaf30794a7d7d3fe98253ae720db21c8d",
        _TEXT + "GetNormalizedLength"),
    Replacement("System.TimeZoneInfo", "GetAlternativeId", 2,
        "1a9ca21934dcaaa374c19fe677164ba9c215d284a1e472ef9cbbfbb7e4c2434a",
        _ZONES + "GetAlternativeId"),
    Replacement("System.TimeZoneInfo", "TryConvertIanaIdToWindowsId", 3,
        "8da735d817e503ebec93c55728477a55590fcee846a9b883b1d7ca9b6d163de1",
        _ZONES + "TryConvertIanaIdToWindowsId"),
    Replacement("System.TimeZoneInfo", "TryConvertWindowsIdToIanaId", 4,
        "edea4e7f803fd24a23712b3bdf2e86be747407dd1f1692853ac2aa1650446126",
        _ZONES + "TryConvertWindowsIdToIanaId"),
))
_TERMINAL_METHODS = (
    ("OpenStandardInput", 0), ("GetOrCreateReader", 0), ("get_InputEncoding", 0),
    ("SetConsoleInputEncoding", 1), ("ReadKey", 1), ("get_TreatControlCAsInput", 0),
    ("set_TreatControlCAsInput", 1), ("get_ForegroundColor", 0), ("set_ForegroundColor", 1),
    ("get_BackgroundColor", 0), ("set_BackgroundColor", 1), ("ResetColor", 0), ("Beep", 0),
    ("get_CursorSize", 0), ("set_CursorVisible", 1), ("GetCursorPosition", 0),
    ("SetCursorPosition", 2), ("set_Title", 1), ("get_BufferWidth", 0), ("get_BufferHeight", 0),
    ("get_LargestWindowWidth", 0), ("get_LargestWindowHeight", 0), ("get_WindowWidth", 0),
    ("get_WindowHeight", 0),
)
#: A console whose streams are redirected, where there is no terminal.
_REDIRECTED_CONSOLE = Weave("System.Console", "MinimalRuntime.Platform.Console.dll", (
    Replacement("System.Console", "get_IsInputRedirected", 0,
        "2e0a232ac509b8c432b0421e14ac004dfd8a1f5caaca54eee73e5a79a1cd2aec",
        _CONSOLE + "get_IsInputRedirected"),
    Replacement("System.Console", "get_IsOutputRedirected", 0,
        "4d841f76e3cb60f99a6ea3f9468836464352c019961129f764f2b2909cb483ab",
        _CONSOLE + "get_IsOutputRedirected"),
    Replacement("System.Console", "get_IsErrorRedirected", 0,
        "ac70e8f5a488a00056f7e47f5580d86708043ab7891b43888e33d99fd626124e",
        _CONSOLE + "get_IsErrorRedirected"),
    Replacement("System.Console", "get_KeyAvailable", 0,
        "973051ea0fb983b214fe37ce60be616967d5ad61b04892015cb79ca7213bfb71",
        _CONSOLE + "get_KeyAvailable"),
    Replacement("System.Console", "add_CancelKeyPress", 1,
        "203c6fb6600320c07143a71369d319b00c334295085567a353150630fe0a886f",
        _CONSOLE + "add_CancelKeyPress"),
    Replacement("System.Console", "remove_CancelKeyPress", 1,
        "1c0454d9811e5897c9a584748837ca366f91b2791ee0c1e22e4793af8a88bd89",
        _CONSOLE + "remove_CancelKeyPress"),
    *(
        Replacement("System.ConsolePal", method, count, _REFUSES, _CONSOLE + method)
        for method, count in _TERMINAL_METHODS
    ),
))
WEAVES = (INSIDE_CORE, _FOR_ICU, _REDIRECTED_CONSOLE)
# fmt: on

_DISCONTINUOUS_WAIT = "78082c1bc0f6bb1bbe0d2b922b5c3b029fb09f91b8d09cd4316e1539d2cff83c"
EDITS = (
    # A barrier waits for its phase in pieces of ten seconds, so no wait would be one without end:
    # ldloc.0, the length of a piece where there is no timeout, becomes ldc.i4.m1.
    Edit("System.Threading", "System.Threading.Barrier", "DiscontinuousWait", 4,
         _DISCONTINUOUS_WAIT, 0x18, b"\x06", b"\x15"),
)  # fmt: skip
#: The compiled C#, in ``guest/bin``.
CODE_FILES = tuple(one.code for one in WEAVES)
#: The assemblies that change.
ASSEMBLIES = frozenset(one.assembly for one in (*WEAVES, *EDITS))


def patched(framework: Mapping[str, bytes], code: Mapping[str, bytes]) -> dict[str, bytes]:
    """The assemblies that change, with everything replaced.

    Args:
        framework: raw webcil by simple name.
        code: the compiled C# by its name in ``guest/bin``.

    Raises:
        MalformedImage: a method is not there or has another body.
    """
    changed = {name: framework[name] for name in ASSEMBLIES}
    for one in WEAVES:
        changed[one.assembly] = weave(one, changed[one.assembly], code[one.code])
    for edit in EDITS:
        changed[edit.assembly] = edited(changed[edit.assembly], edit)
    return changed


def unknown(framework: Mapping[str, bytes]) -> Iterator[str]:
    """For each method that is not what is to be replaced, a sentence that says so."""
    places: list[tuple[str, Replacement | Guard | Edit]] = [(e.assembly, e) for e in EDITS]
    places += [(one.assembly, method) for one in WEAVES for method in one.replacements]
    modules: dict[str, Module] = {}
    for name, method in places:
        try:
            if name not in modules:
                modules[name] = Module(0, name, framework[name], is_root=False)
            find(modules[name], method)
        except (MalformedImage, KeyError) as error:
            yield str(error)
