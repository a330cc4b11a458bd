"""NuGet's own rules, asked in the sandbox: which version, which target framework.

The C# half is ``runtime_artifacts/guest/Packages``; it passes the questions on to the assemblies
NuGet.Versioning and NuGet.Frameworks.
"""

from __future__ import annotations

import hashlib
import re
import struct
from functools import cache
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.abi import pack_fields
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.engines import get_engine
from dotnet_wasm_host.errors import InvocationTimeout
from dotnet_wasm_host.images.image import RuntimeImage, derive_image
from dotnet_wasm_host.nuget.deadline import Deadline
from dotnet_wasm_host.runtime import Runtime
from dotnet_wasm_host.runtime.observing import unobserved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dotnet_wasm_host.engines.base import Engine

__all__ = ["PackageRules"]

_FUNCTION = "packages"
_NUMBER = struct.Struct("<i")
#: A range in its normal form that includes its lower bound.
_LEAST = re.compile(r"\[([0-9A-Za-z.+-]+), ")
_SMALL = 1024
_WARM_UP = (
    (b"F", ("net45", "netstandard1.3", "netstandard2.0", "net8.0", "portable-net45+win8")),
    (b"F", ("net472",)),
    (b"G", ("", ".NETFramework4.5", ".NETStandard2.0", "net8.0")),
    (b"H", ("1.0", "1.10", "2.0-beta")),
)
_WARM_UP_RANGES = ("1.0", "[1.0,2.0)", "1.*", "*", "*-*", "nonsense")


@final
class PackageRules:
    """Answers questions for one resolution, and remembers the answers.

    A context manager: it has a runtime of its own. Versions and names come from feeds, so they
    are text that nobody has checked; the sandbox is where they are read.
    """

    def __init__(
        self,
        deadline: Deadline | None = None,
        *,
        progress: Callable[[str], object] | None = None,
    ) -> None:
        self._deadline = deadline or Deadline()
        engine = get_engine(None)
        if progress is not None:
            base = RuntimeImage.load("full", engine=engine, progress=progress)
            derive_image(base, _FUNCTION, _make_image, progress=progress)
        with unobserved():
            self._runtime = Runtime(_image(engine))
        self._answers: dict[bytes, bytes] = {}

    def __enter__(self) -> PackageRules:
        return self

    def __exit__(self, *_: object) -> None:
        self._runtime.close()

    def nearest_folder(self, names: Sequence[str]) -> str | None:
        """The folder below ``lib`` that suits .NET 10 best, as it is written."""
        return _pick(names, self._ask_number(b"F", *_list(names)))

    def nearest_group(self, names: Sequence[str]) -> str | None:
        """The same for groups of dependencies; ``""`` is the group for every framework."""
        return _pick(names, self._ask_number(b"G", *_list(names)))

    def best_match(self, wanted: str, versions: Sequence[str]) -> str | None:
        """What NuGet takes for a range: the lowest that fits, the highest of a floating one."""
        return _pick(versions, self._ask_number(b"B", wanted.encode(), *_list(versions)))

    def highest(self, versions: Sequence[str]) -> str:
        """The highest of some versions, at least one."""
        return versions[self._ask_number(b"H", *_list(versions))]

    def satisfies(self, wanted: str, version: str) -> bool:
        """Whether a version is in a range."""
        return self._ask_number(b"S", wanted.encode(), version.encode()) == 1

    def begins_below(self, wanted: str, version: str) -> bool:
        """Whether a range asks for no more than this version."""
        return self._ask_number(b"L", wanted.encode(), version.encode()) == 1

    def version(self, text: str) -> str | None:
        """A version as feeds write it: ``"1.0"`` is ``"1.0.0"``; ``None`` if it is none."""
        return self.versions([text])[0]

    def versions(self, texts: Sequence[str]) -> list[str | None]:
        """The same for many."""
        if not texts:
            return []
        answer = self._ask(b"V", *_list(texts)).decode()
        return [text or None for text in answer.split("\n")]

    def range(self, text: str) -> str | None:
        """A range in its normal form; ``None`` if it is none."""
        return self._ask(b"R", _encode(text)).decode() or None

    def exact(self, wanted: str) -> str | None:
        """The version that satisfies a range better than any other, if there is such a one.

        That is the lower bound of a range that includes it and does not float.
        """
        found = _LEAST.match(self.range(wanted) or "")
        return self.version(found[1]) if found else None

    def _ask_number(self, question: bytes, *fields: bytes | int) -> int:
        answer: tuple[int] = _NUMBER.unpack(self._ask(question, *fields))
        return answer[0]

    def _ask(self, question: bytes, *fields: bytes | int) -> bytes:
        payload = question + pack_fields(*fields)
        # A list of versions is asked about again and again, and may be long.
        key = payload if len(payload) < _SMALL else hashlib.sha256(payload).digest()
        answer = self._answers.get(key)
        if answer is None:
            doing = "choosing packages"
            try:
                answer = self._runtime.invoke(
                    _FUNCTION, payload, timeout=self._deadline.left(doing)
                )
            except InvocationTimeout:
                raise self._deadline.over(doing) from None
            self._answers[key] = answer
        return answer


def _pick(items: Sequence[str], index: int) -> str | None:
    return items[index] if 0 <= index < len(items) else None


def _list(texts: Iterable[str]) -> list[bytes | int]:
    encoded = [_encode(text) for text in texts]
    return [len(encoded), *encoded]


def _encode(text: str) -> bytes:
    return text.encode(errors="replace")


@cache
def _image(engine: Engine) -> RuntimeImage:
    return derive_image(RuntimeImage.load("full", engine=engine), _FUNCTION, _make_image)


def _make_image(base: RuntimeImage) -> RuntimeImage:
    store = ArtifactStore.locate()
    nuget = [store.read(name) for name in store.names("nuget/")]
    with unobserved(), Runtime(base) as runtime:
        rules = store.read("guest/MinimalRuntime.Packages.dll")
        runtime.load_assembly(_FUNCTION, rules, dependencies=nuget)
        for _ in range(3):
            for question, texts in _WARM_UP:
                runtime.invoke(_FUNCTION, question + pack_fields(*_list(texts)))
            for wanted in _WARM_UP_RANGES:
                runtime.invoke(_FUNCTION, b"R" + pack_fields(wanted.encode()))
                runtime.invoke(_FUNCTION, b"V" + pack_fields(*_list([wanted])))
            for wanted in _WARM_UP_RANGES[:-1]:
                versions = _list(("1.0.0", "1.5.0", "2.0.0-beta.1", "2.0.0"))
                runtime.invoke(_FUNCTION, b"B" + pack_fields(wanted.encode(), *versions))
        return runtime.snapshot(_FUNCTION)
