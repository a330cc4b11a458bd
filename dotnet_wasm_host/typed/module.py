"""A module of C#: what is compiled or loaded, as an object of Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.typed.statics import NO_STATIC, get_static, is_set_as_static
from dotnet_wasm_host.uncopyable import Uncopyable

if TYPE_CHECKING:
    import weakref
    from collections.abc import Mapping

    from typing_extensions import Self

    from dotnet_wasm_host.assembly import Assembly
    from dotnet_wasm_host.pool.pool import RuntimePool
    from dotnet_wasm_host.runtime import Runtime
    from dotnet_wasm_host.typed.callables import CallableTable
    from dotnet_wasm_host.typed.objects import ObjectTable
    from dotnet_wasm_host.typed.statics import Statics

__all__ = ["CSharpModule", "CSharpType"]


class CSharpModule(Uncopyable):
    """Methods of C# as functions of Python; made by :func:`~dotnet_wasm_host.csharp`.

    Public static methods are its attributes, and so are the classes that stand for records and
    enums, and static classes with methods of theirs. If there is exactly one method, the module
    can be called. Use it as a context manager, or call :meth:`close`; a module that is
    forgotten closes itself.
    """

    _instead_of_copying: ClassVar[str] = "share it, between threads too"

    def __init__(
        self,
        assembly: Assembly,
        host: Runtime | RuntimePool,
        function_id: str,
        statics: Statics | None = None,
    ) -> None:
        self._statics: Statics = {} if statics is None else statics
        self._assembly = assembly
        self._host = host
        self._function_id = function_id
        self._types: dict[str, Any] = {}
        self._objects: ObjectTable | None = None
        self._callables: CallableTable | None = None
        self._end: weakref.finalize[..., Any] | None = None

    if TYPE_CHECKING:

        def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what C# has
            """Call the method, if there is exactly one."""

    def add_types(self, types: Mapping[str, Any]) -> None:
        """Types by full name, for ``module[...]``."""
        self._types.update(types)

    @property
    def assembly(self) -> Assembly:
        """What was compiled."""
        return self._assembly

    @property
    def runtime(self) -> Runtime | RuntimePool:
        """Where it runs."""
        return self._host

    @property
    def held_objects(self) -> int:
        """Objects that .NET holds because Python has them, see :class:`CSharpObject`."""
        return 0 if self._objects is None else self._objects.count()

    @property
    def held_callables(self) -> int:
        """Python callables that .NET has as delegates, after a garbage collection there."""
        return 0 if self._callables is None else self._callables.count()

    @property
    def closed(self) -> bool:
        """True after :meth:`close`."""
        return self._end is None or not self._end.alive

    def close(self) -> None:
        """Unload it; a runtime of its own is closed, a borrowed one stays. Idempotent."""
        if self._end is not None:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what C# has
        getter, _ = vars(self).get("_statics", {}).get(name, NO_STATIC)
        if getter is not None:
            return getter()
        known = ", ".join(n for n in vars(self) if not n.startswith("_"))
        raise AttributeError(f"expected one of {known}, found {name!r}", name=name, obj=self)

    @override
    def __setattr__(self, name: str, value: object) -> None:
        found = vars(self).get("_statics", {}).get(name, NO_STATIC)
        if not is_set_as_static(found, self, name, value):
            super().__setattr__(name, value)

    def __getitem__(self, full_name: str) -> Any:  # noqa: ANN401 - what C# has
        """A type by its full name, ``"Namespace.Type"``. KeyError if nothing of it is to be had."""
        try:
            return self._types[full_name]
        except KeyError:
            known = ", ".join(sorted(self._types))
            raise KeyError(f"expected one of {known}, found {full_name!r}") from None

    def __repr__(self) -> str:
        known = ", ".join(n for n in vars(self) if not n.startswith("_"))
        return f"<CSharpModule {self._assembly.name}: {known}>"


class CSharpType:
    """A static class of C#: its methods, properties and fields are attributes.

    Attributes:
        statics: getter and setter by name.
    """

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self.statics: Statics = {}

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what C# has
        return get_static(vars(self).get("statics", {}).get(name, NO_STATIC), self, name)

    @override
    def __setattr__(self, name: str, value: object) -> None:
        found = vars(self).get("statics", {}).get(name, NO_STATIC)
        if not is_set_as_static(found, self, name, value):
            super().__setattr__(name, value)

    def __repr__(self) -> str:
        return f"<C# class {self.__name__}>"
