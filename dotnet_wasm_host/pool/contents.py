"""Files through which processes of one machine share what functions are made of."""

from __future__ import annotations

import atexit
import hashlib
import os
import pickle
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.errors import AssemblyLoadError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["read_contents", "register_reducer", "write_contents"]

#: Modules that pickle for other processes of this machine, and the functions of them that take a
#: reducer for a type.
_LOCAL_PICKLERS = {
    "multiprocessing.reduction": ("ForkingPickler", "register"),
    "joblib.externals.loky.backend.reduction": ("register",),
    "loky.backend.reduction": ("register",),
}
_registered: set[str] = set()
_lock = threading.Lock()
#: The folder of this process, and the process.
_folder: tuple[Path, int] | None = None


def register_reducer(of: type, reduce: Callable[[Any], tuple[object, ...]]) -> None:
    """Have those who pickle for this machine, and are imported, use a reducer of their own."""
    for name, path in _LOCAL_PICKLERS.items():
        if name not in _registered and (module := sys.modules.get(name)) is not None:
            register: Any = module
            for attribute in path:
                register = getattr(register, attribute)
            register(of, reduce)
            _registered.add(name)


def write_contents(function_id: str, parts: tuple[bytes, ...]) -> str:
    """The path of a file with these parts, written once; it goes when this process ends."""
    folder = _own_folder()
    path = folder / hashlib.sha256(function_id.encode()).hexdigest()
    if not path.exists():
        unfinished = folder / f"{path.name}.{threading.get_ident()}"
        unfinished.write_bytes(pickle.dumps(parts, protocol=5))
        unfinished.replace(path)
    return str(path)


def read_contents(path: str) -> tuple[bytes, ...]:
    """The parts in a file. AssemblyLoadError if it is not there."""
    try:
        # As trusted as the pickle that names it.
        parts: tuple[bytes, ...] = pickle.loads(Path(path).read_bytes())  # noqa: S301
    except OSError as error:
        raise AssemblyLoadError(
            "DotnetFunction",
            "System.IO.FileNotFoundException",
            f"{error}: the process that pickled the function has ended, or is on another machine; "
            "send it there with pickle.dumps()",
        ) from error
    return parts


def _own_folder() -> Path:
    global _folder  # noqa: PLW0603 - one for a process
    with _lock:
        if _folder is None or _folder[1] != os.getpid():
            from tempfile import mkdtemp

            _folder = Path(mkdtemp(prefix="dotnet-functions-")), os.getpid()
            atexit.register(_remove, *_folder)
        return _folder[0]


def _remove(folder: Path, process: int) -> None:
    # A forked child has the registration of its parent, too.
    if process == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)
