"""What Mono's WebAssembly runtime asks of its host: scheduling, tracing, the absent JIT."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import DotnetHostError
from dotnet_wasm_host.imports.base import ImportGroup
from dotnet_wasm_host.imports.host_work import RECORD
from dotnet_wasm_host.overriding import override

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.engines.base import HostFunction
    from dotnet_wasm_host.imports.base import Caller
    from dotnet_wasm_host.imports.output import CallOutput

__all__ = ["JITERPRETER_NOT_JITTED", "JITERPRETER_TRAINING", "Mono"]

_log = logging.getLogger("dotnet_wasm_host.mono")

#: What ``mono_interp_tier_prepare_jiterpreter`` answers for "this trace stays interpreted".
JITERPRETER_NOT_JITTED = 1
#: ... and for "go on counting, and never ask again".
JITERPRETER_TRAINING = 0
_TRACE_LEVELS = {
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "warning": logging.WARNING,
    "message": logging.INFO,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}


@final
class Mono(ImportGroup):
    """Imports declared by ``src/mono/browser/runtime`` of dotnet/runtime.

    Attributes:
        has_work: there is something to do, now or later. Looked at after every call.
        background_work: the guest's thread pool has work; call ``mono_background_exec``.
        finished_calls: calls that waited have ended and can be collected.
        timer_at: ``time.monotonic()`` at which ``mono_wasm_execute_timer`` wants to run.
        tier_up: told of each method that has run often: its frame, method, instruction, number
            of its counter, start and size of its code; answers :data:`JITERPRETER_TRAINING`, or
            :data:`JITERPRETER_NOT_JITTED`, after which the method is not counted any more.
    """

    def __init__(self, caller: Caller, output: CallOutput) -> None:
        self._caller = caller
        self._output = output
        self.has_work: bool = False
        self.background_work: bool = False
        self.finished_calls: bool = False
        self.timer_at: float | None = None
        self.tier_up: Callable[[int, int, int, int, int, int], int] | None = None

    @override
    def functions(self) -> Mapping[str, HostFunction]:
        return {
            "mono_wasm_trace_logger": self.trace,
            "mono_wasm_schedule_timer": self.schedule_timer,
            "schedule_background_exec": self.schedule_background_exec,
            "mono_wasm_asm_loaded": _ignore,
            "mono_wasm_console_clear": _ignore,
            "mono_wasm_get_locale_info": _refuse("mono_wasm_get_locale_info"),
            # The jiterpreter compiles hot traces to WebAssembly in a browser. Saying no once
            # keeps the interpreter from ever asking again.
            "mono_interp_tier_prepare_jiterpreter": self._prepare_jiterpreter,
            "mono_interp_record_interp_entry": _ignore,
            "mono_interp_flush_jitcall_queue": _ignore,
            "mono_interp_jit_wasm_entry_trampoline": lambda *_: 0,
            "mono_interp_jit_wasm_jit_call_trampoline": _ignore,
            "mono_interp_invoke_wasm_jit_call_trampoline": _refuse(
                "mono_interp_invoke_wasm_jit_call_trampoline"
            ),
            "mono_wasm_free_method_data": _ignore,
            # The runtime is started without its debugger agent.
            "mono_wasm_set_entrypoint_breakpoint": _ignore,
            "mono_wasm_debugger_log": _ignore,
            "mono_wasm_add_dbg_command_received": _ignore,
            "mono_wasm_fire_debugger_agent_message_with_data": _ignore,
        }

    def _prepare_jiterpreter(self, *arguments: int) -> int:
        if self.tier_up is None:
            return JITERPRETER_NOT_JITTED
        return self.tier_up(*arguments[:6])

    def trace(self, domain: int, level: int, message: int, _fatal: int, _user_data: int) -> None:
        """A line of Mono's own log, kept for the error that may follow it."""
        self._caller.work.charge(RECORD)
        text = self._text(message)
        name = self._text(level)
        _log.log(_TRACE_LEVELS.get(name, logging.DEBUG), "%s: %s", self._text(domain), text)
        self._output.traced = (*self._output.traced[-7:], text)

    def schedule_timer(self, due_ms: int) -> None:
        """The earliest managed timer is due in ``due_ms`` milliseconds; replaces the last one."""
        self.timer_at = time.monotonic() + max(0, due_ms) / 1000
        self.has_work = True

    def schedule_background_exec(self) -> None:
        """Somebody queued work on the thread pool."""
        self.background_work = True
        self.has_work = True

    def call_finished(self) -> None:
        """A call that waited has ended."""
        self.finished_calls = True
        self.has_work = True

    def resume(self) -> None:
        """An instance of an image with timers or queued work: let the guest look at both."""
        self.schedule_background_exec()
        self.schedule_timer(0)

    def take_due(self) -> str | None:
        """The export to call now, or ``None``."""
        if self.background_work:
            self.background_work = False
            return "mono_background_exec"
        if self.timer_at is not None and self.timer_at <= time.monotonic():
            self.timer_at = None
            return "mono_wasm_execute_timer"
        self.has_work = self.timer_at is not None or self.finished_calls
        return None

    def _text(self, pointer: int) -> str:
        return (
            self._caller.memory.read_c_string(pointer).decode(errors="replace") if pointer else ""
        )


def _ignore(*_arguments: object) -> int:
    return 0


def _refuse(name: str) -> HostFunction:
    def refuse(*_arguments: object) -> int:
        raise DotnetHostError(
            f"the guest called '{name}', which needs a JavaScript engine; use Host.Call instead"
        )

    return refuse
