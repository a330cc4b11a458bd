"""What a runtime counts."""

from __future__ import annotations

from dataclasses import dataclass, field

from dotnet_wasm_host.jit.reports import JitStats

__all__ = ["RuntimeStats"]


@dataclass(frozen=True, slots=True)
class RuntimeStats:
    """Counters of one runtime since it was made.

    Attributes:
        linear_memory_bytes: present size of linear memory (it only grows).
        gc_heap_bytes: live managed heap, as ``GC.GetTotalMemory(false)`` sees it.
        loads, unloads: functions loaded and unloaded; replacing one counts as both.
        invocations: calls, those that failed included.
        failed_invocations: calls that raised.
        recycles: times the instance was replaced, on request or after a crash.
        leaked_bytes_estimate: linear memory held by unloaded functions that .NET's Mono
            runtime cannot give back; recycling the instance returns it.
        host_work: what the host did on behalf of the guest, in the units of ``Limits.host_work``.
        jit: machine code of the present instance.
    """

    linear_memory_bytes: int
    gc_heap_bytes: int
    loads: int
    unloads: int
    invocations: int
    failed_invocations: int
    recycles: int
    leaked_bytes_estimate: int
    host_work: int = 0
    jit: JitStats = field(default_factory=JitStats)
