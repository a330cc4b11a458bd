"""Deployed functions in an SQLite file that several processes share."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.worker.store import (
    Condition,
    FunctionRecord,
    FunctionStore,
    StoredFunction,
    StoreError,
    TooManyFunctions,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

__all__ = ["SqliteStore"]

#: ``PRAGMA user_version`` of files that this module writes.
SCHEMA_VERSION = 1
#: Seconds to wait for another process that is writing.
BUSY_SECONDS = 20.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS functions (
    function_id   TEXT PRIMARY KEY,
    revision      INTEGER NOT NULL,
    sha256        TEXT NOT NULL,
    size          INTEGER NOT NULL,
    handler       TEXT,
    handler_type  TEXT NOT NULL,
    assembly_name TEXT NOT NULL,
    timeout       REAL,
    concurrency   INTEGER,
    deployed_at   TEXT NOT NULL,
    assembly      BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO counters VALUES ('version', 0), ('reloads', 0);
"""
#: Parts of a function; those of an older revision than its own are left over from a version of
#: this software that did not know them.
_PARTS = """
CREATE TABLE IF NOT EXISTS parts (
    function_id TEXT NOT NULL,
    revision    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    content     BLOB NOT NULL,
    PRIMARY KEY (function_id, name)
)
"""
_COLUMNS = (
    "function_id, revision, sha256, size, handler, handler_type, assembly_name, timeout, "
    "concurrency, deployed_at"
)
#: Column to its type, and whether it may be NULL.
_TYPES: dict[str, tuple[type | tuple[type, ...], bool]] = {
    "function_id": (str, False),
    "revision": (int, False),
    "sha256": (str, False),
    "size": (int, False),
    "handler": (str, True),
    "handler_type": (str, False),
    "assembly_name": (str, False),
    "timeout": ((int, float), True),
    "concurrency": (int, True),
    "deployed_at": (str, False),
}
_DAMAGED = (TypeError, ValueError, OverflowError)
_log = logging.getLogger(__name__)


@final
class SqliteStore(FunctionStore):
    """A :class:`~dotnet_wasm_host.worker.FunctionStore` in one file on a local disk.

    Changes are transactions in a write-ahead log that is flushed to disk before they count, so
    neither a crash of the process nor of the machine leaves half of one.

    Args:
        path: the file, made if it does not exist, readable by its owner only; ``":memory:"`` for
            a store that ends with the process.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: str = str(path)
        self._lock = threading.Lock()
        self._closed = False
        self._reported: set[object] = set()
        self._file: tuple[int, int] | None = None
        if self.path != ":memory:":
            self._create(Path(self.path))
        try:
            # One connection under a lock: statements take microseconds, and SQLite lets only one
            # process write at a time anyway.
            self._connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise StoreError(f"{self.path} cannot be opened: {error}") from error
        self._connection.text_factory = _text
        try:
            self._prepare()
            self._file = self._present_file()
        except BaseException:
            self._connection.close()
            raise

    @override
    def version(self) -> int:
        return self._counter("version")

    @override
    def functions(self) -> Mapping[str, FunctionRecord]:
        with self._statements() as sql:
            rows = sql.execute(f"SELECT {_COLUMNS} FROM functions ORDER BY function_id").fetchall()  # noqa: S608
        records = {}
        for row in rows:
            try:
                record = _record(row)
            except _DAMAGED as error:
                self._report_damage(row, error)
            else:
                records[record.function_id] = record
        return records

    @override
    def read(self, function_id: str) -> StoredFunction | None:
        with self._statements() as sql:
            row = sql.execute(
                f"SELECT {_COLUMNS}, assembly FROM functions WHERE function_id = ?",  # noqa: S608
                (function_id,),
            ).fetchone()
            found = sql.execute(
                "SELECT name, content FROM parts WHERE function_id = ? AND revision = ?",
                (function_id, -1 if row is None else row[1]),
            ).fetchall()
        if row is None:
            return None
        try:
            record, assembly = _record(row[:-1]), bytes(row[-1])
            parts = {str(name): bytes(content) for name, content in found}
        except _DAMAGED as error:
            raise StoreError(
                f"the row of {function_id!r} in {self.path} is damaged: {error}"
            ) from None
        if hashlib.sha256(assembly).hexdigest() != record.sha256:
            raise StoreError(f"the assembly of {function_id!r} in {self.path} is damaged")
        return StoredFunction(record, assembly, parts)

    @override
    def put(self, function: StoredFunction, condition: Condition, most: int) -> FunctionRecord:
        record = function.record
        with self._transaction() as sql:
            present = _sha256(sql, record.function_id)
            condition.check(record.function_id, present)
            if present is None:
                (count,) = sql.execute("SELECT count(*) FROM functions").fetchone()
                if count >= most:
                    raise TooManyFunctions(
                        f"{count} functions are deployed, as many as are allowed"
                    )
            record = replace(record, revision=_advance(sql, "version"))
            sql.execute(
                f"INSERT OR REPLACE INTO functions ({_COLUMNS}, assembly) "  # noqa: S608
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    record.function_id, record.revision, record.sha256, record.size,
                    record.handler, record.handler_type, record.assembly_name, record.timeout,
                    record.concurrency, record.deployed_at.isoformat(), function.assembly,
                ),
            )  # fmt: skip
            sql.execute("DELETE FROM parts WHERE function_id = ?", (record.function_id,))
            sql.executemany(
                "INSERT INTO parts VALUES (?, ?, ?, ?)",
                [
                    (record.function_id, record.revision, name, content)
                    for name, content in function.parts.items()
                ],
            )
        return record

    @override
    def delete(self, function_id: str, condition: Condition) -> bool:
        with self._transaction() as sql:
            present = _sha256(sql, function_id)
            condition.check(function_id, present)
            if present is None:
                return False
            sql.execute("DELETE FROM functions WHERE function_id = ?", (function_id,))
            sql.execute("DELETE FROM parts WHERE function_id = ?", (function_id,))
            _advance(sql, "version")
            return True

    @override
    def request_reload(self) -> int:
        with self._transaction() as sql:
            _advance(sql, "version")
            return _advance(sql, "reloads")

    @override
    def reloads(self) -> int:
        return self._counter("reloads")

    @override
    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self._connection.close()

    def __repr__(self) -> str:
        return f"SqliteStore({self.path!r})"

    def _create(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
        except OSError as error:
            raise StoreError(f"{path} cannot be made: {error.strerror}") from error

    def _prepare(self) -> None:
        with self._statements() as sql:
            self._require_store(sql)
            sql.execute("PRAGMA journal_mode = WAL")
            # With the default, NORMAL, the last transactions may be lost when the power fails.
            sql.execute("PRAGMA synchronous = FULL")
            # Every change goes into the file itself at once: whoever moves it moves everything.
            sql.execute("PRAGMA wal_autocheckpoint = 1")
        with self._transaction() as sql:
            if _format(sql) < SCHEMA_VERSION:
                for statement in _SCHEMA.split(";"):
                    sql.execute(statement)
                sql.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            sql.execute(_PARTS)

    def _require_store(self, sql: sqlite3.Connection) -> None:
        """StoreError if the file is a database of somebody else's; nothing is written to it."""
        if (version := _format(sql)) > SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} was written by a newer version of this software (format "
                f"{version}, this one knows {SCHEMA_VERSION})"
            )
        if not sql.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall():
            return
        try:
            sql.execute(f"SELECT {_COLUMNS}, assembly FROM functions LIMIT 0")  # noqa: S608 - ours
            sql.execute("SELECT name, value FROM counters LIMIT 0")
        except sqlite3.OperationalError as error:
            if "no such" not in str(error):  # of a table or column
                raise
            raise StoreError(
                f"expected a store of functions at {self.path}, found another database ({error}); "
                "give another path, or move the file away"
            ) from error

    def _present_file(self) -> tuple[int, int] | None:
        """What is at the path now; None for a store without one."""
        if self.path == ":memory:":
            return None
        try:
            status = Path(self.path).stat()
        except OSError as error:
            raise StoreError(f"{self.path} cannot be found any more: {error.strerror}") from error
        return status.st_dev, status.st_ino

    def _require_own_file(self) -> None:
        """StoreError if the path is not the file that is open: what is written would be lost."""
        if self._file is not None and self._present_file() != self._file:
            raise StoreError(
                f"{self.path} is another file than the one that was opened: put that back, or "
                "restart the worker to go on with this one"
            )

    def _report_damage(self, row: tuple[Any, ...], error: Exception) -> None:
        """Say once that a row cannot be read. The others can."""
        if row not in self._reported:
            self._reported.add(row)
            _log.error("a row of %s is damaged and left out: %r: %s", self.path, row[0], error)

    def _counter(self, name: str) -> int:
        with self._statements() as sql:
            row = sql.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
        return int(row[0])

    @contextmanager
    def _statements(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._closed:
                raise StoreError(f"{self.path} is closed")
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise StoreError(f"{self.path}: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._statements() as sql:
            self._require_own_file()
            # IMMEDIATE: what is read inside cannot change before it is written.
            sql.execute("BEGIN IMMEDIATE")
            try:
                yield sql
                self._require_own_file()
            except BaseException:
                if sql.in_transaction:  # SQLite has rolled back itself after some errors
                    sql.execute("ROLLBACK")
                raise
            sql.execute("COMMIT")


def _format(sql: sqlite3.Connection) -> int:
    (version,) = sql.execute("PRAGMA user_version").fetchone()
    return int(version)


def _advance(sql: sqlite3.Connection, name: str) -> int:
    sql.execute("UPDATE counters SET value = value + 1 WHERE name = ?", (name,))
    row = sql.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
    return int(row[0])


def _sha256(sql: sqlite3.Connection, function_id: str) -> str | None:
    row = sql.execute(
        "SELECT sha256 FROM functions WHERE function_id = ?", (function_id,)
    ).fetchone()
    return None if row is None else str(row[0])


def _text(data: bytes) -> str | bytes:
    """A TEXT value; as bytes, which no column of text may be, if it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


def _record(row: tuple[Any, ...]) -> FunctionRecord:
    """A row as a value. SQLite keeps any type in any column."""
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    for name, (kind, optional) in _TYPES.items():
        value = values[name]
        if not (isinstance(value, kind) or (optional and value is None)):
            raise TypeError(f"{name} is {value!r:.40}")
    for name in ("timeout", "concurrency"):
        if values[name] is not None and not values[name] > 0:
            raise ValueError(f"{name} is {values[name]!r}")
    values["deployed_at"] = datetime.fromisoformat(row[-1]).astimezone(timezone.utc)
    return FunctionRecord(**values)
