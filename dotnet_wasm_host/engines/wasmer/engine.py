"""wasmer 1.1.0, the last release of wasmer for Python, on CPython 3.10.

It compiles with a cranelift of 2021 and cannot interrupt code that runs, so modules are
rewritten before they are compiled (:mod:`~dotnet_wasm_host.engines.wasmer.simd_lowering`,
:mod:`~dotnet_wasm_host.engines.wasmer.metering`), and it copies what memories start with, so
those are mapped by this library (:mod:`~dotnet_wasm_host.engines.wasmer.memory_content`).

wasmer holds the GIL while the guest runs. The guest gives it up where it calls a host function
and at the checks of the metered code, which is twice in a millisecond or so: there other threads
run, Python handles signals, and deadlines and interruptions are looked at.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import mmap
import re
import threading
import time
import weakref
from types import CodeType
from typing import TYPE_CHECKING, Any, final

import wasmer
from wasmer_compiler_cranelift import Compiler

from dotnet_wasm_host.engines.instance import EngineInstance, LimitedMemory, require_room
from dotnet_wasm_host.engines.process import follow_process, wait_for_guests
from dotnet_wasm_host.engines.threads import any_thread_is_in
from dotnet_wasm_host.engines.wasmer.memory_content import MemoryContent
from dotnet_wasm_host.engines.wasmer.metering import CHECK_IMPORT, CHECK_MODULE, meter
from dotnet_wasm_host.engines.wasmer.simd_lowering import lower_simd
from dotnet_wasm_host.engines.wasmer.stack_room import StackRoom
from dotnet_wasm_host.engines.wasmer.threads import ThreadMarks
from dotnet_wasm_host.engines.wasmer.turns import Turns
from dotnet_wasm_host.errors import GuestTrap, RuntimeClosed
from dotnet_wasm_host.options import LONGEST_TIMEOUT
from dotnet_wasm_host.wasm import PAGE
from dotnet_wasm_host.wasm.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from dotnet_wasm_host.engines.base import (
        CompiledModule,
        GuestFunction,
        HostFunction,
        Number,
    )

__all__ = ["WasmerEngine"]

_I32_MASK = 0xFFFFFFFF
#: Changes when code is rewritten in another way than before, or files are.
_FORMAT = 2
_MAGIC = b"dwhcode\2"
#: Instructions for which a compiler uses what a CPU has: rounding, counting, multiplying.
_CPU_PROBE = """(module
  (func (param f64 f32) (result i32)
    local.get 0 f64.ceil i64.trunc_sat_f64_s i64.popcnt i64.clz i64.ctz
    local.get 1 f32.nearest i64.trunc_sat_f32_u i64.add i32.wrap_i64 i32.popcnt)
  (func (param v128 v128) (result v128)
    local.get 0 local.get 1 i32x4.mul local.get 0 i64x2.mul local.get 1 i8x16.max_s
    f32x4.ceil local.get 0 i8x16.swizzle i32x4.trunc_sat_f32x4_u local.get 1 i16x8.min_u))"""
_FRAME = re.compile(r"^ +at .*\[(\d+)\]:0x([0-9a-f]+)\)$", re.MULTILINE)
#: How wasmer begins the text of a trap, and where its bindings keep the type of a Rust panic.
_TRAP, _PANIC_MODULE = "RuntimeError: ", "pyo3_runtime"
#: Deep recursion has tens of thousands of frames, all alike.
_MAX_FRAMES = 32


@final
class WasmerEngine:
    """wasmer with its universal engine and the cranelift compiler."""

    name = "wasmer"
    #: wasmer leaves the end of the stack to the guard page of the thread.
    stack_bytes = None

    def __init__(self) -> None:
        self.store: Any = wasmer.Store(wasmer.engine.Universal(Compiler))
        self.marks: ThreadMarks = ThreadMarks(self.store)
        self.stack: StackRoom = StackRoom()
        self.turns: Turns = Turns()
        self.fingerprint: str = self._fingerprint()
        self._codes: weakref.WeakSet[WasmerCode] = weakref.WeakSet()
        self._instances: weakref.WeakSet[WasmerInstance] = weakref.WeakSet()
        self._exiting = False
        follow_process(self)

    def stop_guests(self) -> None:
        """Stop every guest, for the interpreter exits."""
        self._exiting = True
        for instance in tuple(self._instances):
            instance.stop()
        wait_for_guests(lambda: any_thread_is_in(*_GUEST_CALLS))

    def start_afresh(self) -> None:
        """Replace the locks, which threads of the parent process may have held at a fork."""
        for code in tuple(self._codes):
            code.lock = threading.Lock()

    @property
    def version(self) -> str:
        """Version of the wasmer package."""
        return str(wasmer.__version__)

    def _fingerprint(self) -> str:
        # Serialized modules say nothing of the CPU, but the code in them does.
        probe = wasmer.Module(self.store, wasmer.wat2wasm(_CPU_PROBE)).serialize()
        return hashlib.sha256(b"%d %s" % (_FORMAT, probe)).hexdigest()[:16]

    def compile(self, wasm: bytes) -> WasmerCode | WasmerMemoryModule:
        """Compile a module. ValueError if it is not valid WebAssembly."""
        try:
            module = Module.parse(wasm)
            if MemoryContent.is_one(module):
                return WasmerMemoryModule(MemoryContent.of_module(module))
            return self._code(_MAGIC + _compiled(meter(lower_simd(wasm))))
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"not a valid WebAssembly module: {error}") from error

    def validate(self, wasm: bytes) -> None:
        """ValueError if a module is not valid WebAssembly. Compiles nothing."""
        if not wasmer.Module.validate(self.store, wasm):
            raise ValueError("not a valid WebAssembly module")

    def load(self, path: Path) -> WasmerCode | WasmerMemoryModule:
        """Map a file of ``serialize``, which the caller verified. ValueError if it is none."""
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
            try:
                if magic == _MAGIC:
                    return self._code(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
                return WasmerMemoryModule(MemoryContent.open(path))
            except (ValueError, RuntimeError) as error:
                raise ValueError(f"{path} was not compiled by this engine: {error}") from error

    def _code(self, serialized: bytes | mmap.mmap) -> WasmerCode:
        code = WasmerCode(self, serialized)
        self._codes.add(code)
        return code

    def instantiate(
        self, code: CompiledModule, memory: CompiledModule, *, memory_limit: int
    ) -> WasmerInstance:
        """Instantiate a code module on a memory of at most ``memory_limit`` bytes."""
        if not isinstance(code, WasmerCode) or not isinstance(memory, WasmerMemoryModule):
            raise TypeError("give a code module and a memory module of this engine")
        if self._exiting:
            raise RuntimeClosed("the interpreter is shutting down; close runtimes before it does")
        instance = WasmerInstance(self, code, memory.content, memory_limit)
        self._instances.add(instance)
        return instance


def _compiled(wasm: bytes) -> bytes:
    # A store never gives the code of its modules back, so this one is dropped.
    store = wasmer.Store(wasmer.engine.Universal(Compiler))
    return bytes(wasmer.Module(store, wasm).serialize())


class WasmerMemoryModule:
    """What a memory starts with; no code, and nothing of it is wasmer's."""

    imports: Sequence[str] = ()

    def __init__(self, content: MemoryContent) -> None:
        self.content = content

    def serialize(self) -> bytes:
        return self.content.read()


class WasmerCode:
    """A code module."""

    def __init__(self, engine: WasmerEngine, serialized: bytes | mmap.mmap) -> None:
        self._engine = engine
        self._serialized = serialized
        self.lock: threading.Lock = threading.Lock()
        native = wasmer.Module.deserialize(engine.store, serialized[len(_MAGIC) :])
        declared = [i for i in native.imports if isinstance(i.type, wasmer.FunctionType)]
        self.function_imports: list[tuple[Any, Any, Any]] = [
            (i.module, i.name, i.type) for i in declared if i.module != CHECK_MODULE
        ]
        exports = list(native.exports)
        #: Number of parameters of the exported functions, and names of the mutable globals.
        self.functions: dict[Any, int] = {
            e.name: len(e.type.params) for e in exports if isinstance(e.type, wasmer.FunctionType)
        }
        self.globals: tuple[Any, ...] = tuple(
            e.name for e in exports if isinstance(e.type, wasmer.GlobalType) and e.type.mutable
        )
        self._native = native

    @property
    def imports(self) -> Sequence[str]:
        """Names of the imported functions, in module order."""
        return tuple(name for _, name, _ in self.function_imports)

    def serialize(self) -> bytes:
        return bytes(self._serialized)

    def instantiate(self, imports: wasmer.ImportObject) -> wasmer.Instance:
        """An instance, made by the present thread."""
        with self.lock:
            self._engine.marks.move((self._native,))
            return wasmer.Instance(self._native, imports)


@final
class WasmerMemory(LimitedMemory):
    """Linear memory of one instance."""

    __slots__ = ("_marks", "native")

    def __init__(self, engine: WasmerEngine, content: MemoryContent, limit: int) -> None:
        super().__init__(limit)
        self._marks = engine.marks
        kind = wasmer.MemoryType(content.minimum, content.maximum, shared=False)
        self.native: Any = wasmer.Memory(engine.store, kind)
        self._refresh()
        content.place(self.address)

    def _grow(self, pages: int) -> bool:
        self._marks.move((self.native,))
        try:
            self.native.grow(pages)
        except RuntimeError:
            return False
        return True

    def _refresh(self) -> None:
        buffer = (ctypes.c_char * 0).from_buffer(self.native.buffer)
        self.address: int = ctypes.addressof(buffer)
        self.size: int = self.native.data_size


class _Functions(dict[str, Any]):
    """wasmer's objects for exported functions, made when they are first used."""

    def __init__(self, exports: wasmer.Exports) -> None:
        super().__init__()
        self._exports = exports

    def __missing__(self, name: str) -> Any:
        function = self[name] = getattr(self._exports, name)
        return function


@final
class WasmerInstance(EngineInstance):
    """One guest. Used by one thread at a time, whichever that is."""

    def __init__(
        self, engine: WasmerEngine, code: WasmerCode, content: MemoryContent, limit: int
    ) -> None:
        require_room(content.minimum * PAGE, limit)
        super().__init__()
        self._marks = engine.marks
        self._present = engine.marks.present
        self._stack = engine.stack
        #: What a host function raised, on its way through the guest's frames.
        self.pending: BaseException | None = None
        self._thread = engine.marks.move(())
        self._engine = engine
        self._code = code
        self.memory: WasmerMemory = WasmerMemory(engine, content, limit)
        self._native = code.instantiate(self._imports())
        self._exports = self._native.exports
        self._exported = _Functions(self._exports)
        self._globals = {name: getattr(self._exports, name) for name in code.globals}

    def _imports(self) -> wasmer.ImportObject:
        store, reference = self._engine.store, weakref.ref(self)
        check = wasmer.Function(store, _check(reference), wasmer.FunctionType([], []))
        spaces: dict[str, dict[str, Any]] = {
            "env": {"memory": self.memory.native},
            CHECK_MODULE: {CHECK_IMPORT: check},
        }
        for index, (module, name, kind) in enumerate(self._code.function_imports):
            function = wasmer.Function(store, _host_callable(reference, index, kind), kind)
            spaces.setdefault(module, {})[name] = function
        imports = wasmer.ImportObject()
        for module, space in spaces.items():
            imports.register(module, space)
        return imports

    def _move(self) -> None:
        """Let the present thread use what is wasmer's."""
        self._thread = self._marks.move(
            (self.memory.native, self._native, self._exports, *self._globals.values(),
             *self._exported.values())
        )  # fmt: skip

    def _import_names(self) -> Sequence[str]:
        return self._code.imports

    def call_host(self, index: int, arguments: Sequence[Number]) -> Number | None:
        """Call the function behind an import."""
        try:
            self._require_stack()
            result = (self.functions or self.provide_functions())[index](*arguments)
            if self.deadline != math.inf or self.interruptions:
                self.look_up()
        except BaseException as error:
            # What comes out of wasmer may be a trap or this; it does not say which.
            self.pending = error
            raise
        return result

    def check(self) -> None:
        """Raise what stops the guest, if anything does; called by it now and then."""
        try:
            self._require_stack()
            self.look_up()
        except BaseException as error:
            self.pending = error
            raise

    def _require_stack(self) -> None:
        # wasmer takes an overflow inside of Python for one of the guest, and unwinds both; Python
        # does not survive that.
        if self._stack.left() < self._stack.reserve:
            raise GuestTrap("call stack exhausted")

    def function(self, name: str) -> GuestFunction:
        count, turns = self._code.functions[name], self._engine.turns

        def call_guest(*arguments: int) -> int:
            if len(arguments) != count:
                raise TypeError(f"{name} takes {count} arguments, not {len(arguments)}")
            if self.closed:
                raise RuntimeClosed("the instance is closed; make a new Runtime")
            turns.enter(self)
            try:
                if self._thread != self._present.number:
                    self._move()
                result = self._exported[name](*[a & _I32_MASK for a in arguments])
            except BaseException as error:  # noqa: BLE001 - replaced by the right one
                raise self._failure(error) from None
            finally:
                turns.leave()
            return (result or 0) & _I32_MASK

        return call_guest

    def bind(self, name: str, *arguments: int) -> Callable[[], None]:
        if len(arguments) != self._code.functions[name]:
            raise TypeError(f"{name} does not take {len(arguments)} arguments")
        fixed = [argument & _I32_MASK for argument in arguments]
        present, turns = self._present, self._engine.turns

        def call_bound() -> None:
            if self.closed:
                raise RuntimeClosed("the instance is closed; make a new Runtime")
            turns.enter(self)
            try:
                if self._thread != present.number:
                    self._move()
                self._exported[name](*fixed)
            except BaseException as error:  # noqa: BLE001 - replaced by the right one
                raise self._failure(error) from None
            finally:
                turns.leave()

        return call_bound

    def globals(self) -> dict[str, int]:
        self._move()
        return {name: item.value & _I32_MASK for name, item in self._globals.items()}

    def set_globals(self, values: Mapping[str, int]) -> None:
        self._move()
        for name, value in values.items():
            self._globals[name].value = value & _I32_MASK

    def set_deadline(self, seconds: float | None) -> None:
        self.deadline: float = (
            math.inf if seconds is None else time.monotonic() + min(seconds, LONGEST_TIMEOUT)
        )

    def _failure(self, error: BaseException) -> BaseException:
        """What to raise after a call ended in ``error``."""
        pending, self.pending = self.pending, None
        if pending is not None:
            return pending
        text = str(error)
        if isinstance(error, RuntimeError):
            frames = _FRAME.findall(text)[:_MAX_FRAMES]
            backtrace = "\n".join(f"  at function {index} + 0x{at}" for index, at in frames)
            return GuestTrap(text.removeprefix(_TRAP).partition("\n")[0], backtrace)
        if type(error).__module__ == _PANIC_MODULE:
            return GuestTrap(f"wasmer panicked: {text}")
        return error


#: What is on the Python stack of a thread that runs a guest.
_GUEST_CALLS = tuple(
    constant
    for method in (WasmerInstance.function, WasmerInstance.bind)
    for constant in method.__code__.co_consts
    if isinstance(constant, CodeType) and constant.co_name.startswith("call_")
)


def _host_callable(
    reference: weakref.ref[WasmerInstance], index: int, kind: wasmer.FunctionType
) -> HostFunction:
    """What wasmer calls for an import.

    wasmer keeps it for as long as the instance, so it must not keep the instance.
    """
    narrow = [parameter == wasmer.Type.I32 for parameter in kind.params]
    i32_result = [*kind.results] == [wasmer.Type.I32]

    def call(*arguments: Any) -> Any:
        instance = reference()
        if instance is None:
            raise RuntimeClosed("a guest function ran outside of any call; use Runtime.invoke")
        result = instance.call_host(
            index, [a & _I32_MASK if n else a for a, n in zip(arguments, narrow, strict=True)]
        )
        return int(result or 0) & _I32_MASK if i32_result else result

    return call


def _check(reference: weakref.ref[WasmerInstance]) -> Callable[[], None]:
    """What metered code calls now and then."""

    def check() -> None:
        instance = reference()
        if instance is not None:
            instance.check()

    return check
