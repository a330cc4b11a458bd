"""Contestants as processes that are asked, and how much memory they use."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from benchmarks.contestants import Contestant

__all__ = ["ENVIRONMENT", "MemoryUse", "NotAvailable", "Worker", "memory_use"]

ROOT = Path(__file__).resolve().parents[1]
#: Seconds that one request may take.
PATIENCE = 300.0
_PATHS = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
#: What every measured process gets: this one's environment, with the checkout importable.
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(_PATHS)}
# Installed packages have bytecode, so the checkout has it too: without it, a process that is
# measured from its start would compile every module.
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)


class NotAvailable(Exception):
    """A contestant cannot be measured; the text says why."""


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What a process has to itself, in bytes.

    Attributes:
        private: pages no other mapping has (Private_Clean + Private_Dirty of smaps). Clean
            ones are those of files; they turn private and shared as other processes come and go.
        dirty: those of them that were written to (Private_Dirty).
        page_tables: the kernel's tables for it (VmPTE).
    """

    private: int
    dirty: int
    page_tables: int


def memory_use(pid: int) -> MemoryUse:
    """Memory of a process, from ``/proc``."""
    folder = Path("/proc") / str(pid)
    try:
        rollup = _kilobytes(folder / "smaps_rollup")
        status = _kilobytes(folder / "status")
    except OSError as error:
        raise NotAvailable(f"private memory is read from Linux's /proc: {error}") from error
    dirty = rollup["Private_Dirty"] * 1024
    clean = rollup["Private_Clean"] * 1024
    return MemoryUse(clean + dirty, dirty, status["VmPTE"] * 1024)


def _kilobytes(path: Path) -> dict[str, int]:
    values = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            values[name] = int(value.removesuffix(" kB"))
    return values


class Worker:
    """A contestant's process, asked over its standard streams: one JSON object a line."""

    def __init__(self, contestant: Contestant, folder: Path) -> None:
        self.name = contestant.name
        self._log = TemporaryFile("w+", encoding="utf-8", dir=folder)  # noqa: SIM115 - see close
        self._process = subprocess.Popen(
            contestant.served(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=ENVIRONMENT,
            text=True,
            encoding="utf-8",
        )

    def ask(self, operation: str, **arguments: object) -> Any:  # noqa: ANN401 - JSON
        """Have an operation carried out. NotAvailable if it cannot be, with the reason."""
        request = json.dumps({"operation": operation, **arguments})
        alarm = threading.Timer(PATIENCE, self._process.kill)
        alarm.start()
        try:
            line = self._exchange(request)
        finally:
            alarm.cancel()
        if not line:
            raise NotAvailable(f"its process ended: {self._last_words()}")
        answer = json.loads(line)
        if "value" not in answer:
            raise NotAvailable(answer.get("cannot") or answer["error"])
        return answer["value"]

    def _exchange(self, request: str) -> str:
        requests, answers = self._streams()
        try:
            requests.write(request + "\n")
            requests.flush()
            return answers.readline()
        except OSError:
            return ""

    def _streams(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def _last_words(self) -> str:
        self._process.wait()
        self._log.seek(0)
        lines = [line.strip() for line in self._log if line.strip()]
        return lines[-1] if lines else f"exit code {self._process.returncode}"

    def memory(self) -> MemoryUse:
        """What the process uses now."""
        return memory_use(self._process.pid)

    def close(self) -> None:
        """End the process."""
        for stream in self._streams():
            try:
                stream.close()
            except OSError:  # it is gone already
                continue
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
