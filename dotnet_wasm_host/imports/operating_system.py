"""Everything a guest asks of an operating system: files, streams, entropy, calendar, its end.

Apart from the rest because most calls need none of it: it is imported, and made, when a guest
first does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.imports.calendar import Calendar
from dotnet_wasm_host.imports.files.console import LineLogger
from dotnet_wasm_host.imports.files.filesystem import FileSystem
from dotnet_wasm_host.imports.files.mappings import Mappings
from dotnet_wasm_host.imports.files.syscalls import DescriptorCalls, PathCalls
from dotnet_wasm_host.imports.files.wasi import Wasi
from dotnet_wasm_host.imports.output import CallOutput, MeteredSink
from dotnet_wasm_host.imports.process import Entropy, Process, Sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.engines.base import HostFunction
    from dotnet_wasm_host.imports.base import Caller, ImportGroup
    from dotnet_wasm_host.imports.host_work import HostWork
    from dotnet_wasm_host.options import Limits, WasiOptions

__all__ = ["make_filesystem", "system_functions"]


def make_filesystem(
    options: WasiOptions,
    limits: Limits,
    work: HostWork,
    output: CallOutput,
    speaker: Callable[[], str | None],
) -> FileSystem:
    """The files and streams of an instance.

    Looking up names is charged to ``work``. What it prints is counted in ``output`` and logged as
    said by ``speaker``.
    """
    files = FileSystem(options, limits)
    ends = files.host
    ends.charge_steps = work.charge_items
    for sink in (ends.stdout, ends.stderr):
        if isinstance(sink, LineLogger):
            sink.speaker = speaker
            sink.charge = output.count_record
    ends.stdout = MeteredSink(ends.stdout, output, is_error=False)
    ends.stderr = MeteredSink(ends.stderr, output, is_error=True)
    return files


def system_functions(
    caller: Caller, files: FileSystem, options: WasiOptions
) -> Mapping[str, HostFunction]:
    """Import name to function."""
    groups: tuple[ImportGroup, ...] = (
        Calendar(caller),
        DescriptorCalls(caller, files),
        Entropy(caller, files.host),
        Mappings(caller, files),
        PathCalls(caller, files),
        Process(),
        Sockets(files),
        Wasi(caller, files, options.env),
    )
    return {name: function for g in groups for name, function in g.functions().items()}
