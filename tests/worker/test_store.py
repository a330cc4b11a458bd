"""The SQLite store by itself: a model, several connections, damage."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotnet_wasm_host.worker import (
    Condition,
    FunctionRecord,
    PreconditionFailed,
    SqliteStore,
    StoredFunction,
    StoreError,
    TooManyFunctions,
)

MOMENT = datetime(2026, 11, 22, 10, 30, 0, 123456, tzinfo=timezone.utc)
ALWAYS = Condition()


def function(function_id: str, assembly: bytes, **values: object) -> StoredFunction:
    record = FunctionRecord(
        function_id=function_id,
        revision=0,
        sha256=hashlib.sha256(assembly).hexdigest(),
        size=len(assembly),
        handler=None,
        handler_type="Handler",
        assembly_name="Name",
        timeout=None,
        concurrency=None,
        deployed_at=MOMENT,
    )
    return StoredFunction(replace(record, **values), assembly)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "functions.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


def test_what_was_put_is_there_after_a_restart(store: SqliteStore, path: Path) -> None:
    stored = function("a", b"\0assembly", handler="H", timeout=1.5, concurrency=3)
    record = store.put(stored, ALWAYS, 10)
    assert record.revision > 0
    store.close()
    store.close()
    again = SqliteStore(path)
    assert again.functions() == {"a": record}
    assert again.read("a") == StoredFunction(record, b"\0assembly")
    assert again.read("b") is None
    again.close()


@pytest.mark.usefixtures("store")
def test_the_file_is_the_owners(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_others_see_changes_by_the_version(store: SqliteStore, path: Path) -> None:
    other = SqliteStore(path)
    before = other.version()
    assert other.version() == before
    record = store.put(function("a", b"1"), ALWAYS, 10)
    assert other.version() > before
    assert other.functions() == {"a": record}
    before = other.version()
    assert store.request_reload() == other.reloads() == 1
    assert other.version() > before
    before = other.version()
    assert store.delete("a", ALWAYS)
    assert other.version() > before
    assert not store.delete("a", ALWAYS)
    other.close()


def test_too_many_are_refused_but_replacing_is_not(store: SqliteStore) -> None:
    store.put(function("a", b"1"), ALWAYS, 1)
    with pytest.raises(TooManyFunctions):
        store.put(function("b", b"1"), ALWAYS, 1)
    store.put(function("a", b"2"), ALWAYS, 1)


def test_of_two_connections_with_the_same_condition_one_wins(
    store: SqliteStore, path: Path
) -> None:
    first = store.put(function("a", b"0"), ALWAYS, 10)
    condition = Condition(match=frozenset({first.sha256}))
    outcomes: list[object] = []

    def replace_it(number: int) -> None:
        connection = SqliteStore(path)
        try:
            outcomes.append(connection.put(function("a", b"%d" % number), condition, 10))
        except PreconditionFailed as error:
            outcomes.append(error)
        connection.close()

    threads = [threading.Thread(target=replace_it, args=(n,)) for n in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [outcome for outcome in outcomes if isinstance(outcome, FunctionRecord)]
    assert len(outcomes) == 5
    assert [store.functions()["a"]] == winners


def test_a_failed_change_leaves_nothing(store: SqliteStore) -> None:
    record = store.put(function("a", b"1"), ALWAYS, 10)
    version = store.version()
    with pytest.raises(PreconditionFailed):
        store.put(function("a", b"2"), Condition(none_match=frozenset({"*"})), 10)
    with pytest.raises(PreconditionFailed):
        store.delete("a", Condition(match=frozenset({"0"})))
    assert (store.version(), store.functions()) == (version, {"a": record})


def test_a_damaged_assembly_is_noticed(store: SqliteStore, path: Path) -> None:
    store.put(function("a", b"12345"), ALWAYS, 10)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE functions SET assembly = x'00'")
    connection.close()
    with pytest.raises(StoreError, match=r"'a'.*damaged"):
        store.read("a")


def test_files_that_are_no_store_are_refused(tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"something else entirely" * 100)
    with pytest.raises(StoreError, match="not a database"):
        SqliteStore(junk)
    with pytest.raises(StoreError, match="cannot be made"):
        SqliteStore(junk / "below")
    newer = tmp_path / "newer"
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="newer version"):
        SqliteStore(newer)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE functions (a)",
        "CREATE TABLE songs (title)",
        "CREATE VIEW functions AS SELECT 1 AS function_id",
    ],
)
def test_databases_of_others_are_left_alone(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "other"
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="found another database") as caught:
        SqliteStore(path)
    assert "give another path" in str(caught.value)
    assert path.read_bytes() == before


def test_a_closed_store_says_so(store: SqliteStore) -> None:
    store.close()
    for use in (store.version, store.functions, store.reloads, store.request_reload):
        with pytest.raises(StoreError, match="closed"):
            use()


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "delete"]),
            st.sampled_from(["a", "b", "ä/ö"]),
            st.sampled_from([b"", b"1", b"2"]),
            st.sampled_from(["always", "absent", "present", "at 1", "not at 1"]),
        ),
        max_size=12,
    )
)
def test_it_is_a_dictionary_with_conditions(
    changes: list[tuple[str, str, bytes, str]],
) -> None:
    one = hashlib.sha256(b"1").hexdigest()
    conditions = {
        "always": ALWAYS,
        "absent": Condition(none_match=frozenset({"*"})),
        "present": Condition(match=frozenset({"*"})),
        "at 1": Condition(match=frozenset({one, "x"})),
        "not at 1": Condition(none_match=frozenset({one})),
    }
    holds: dict[str, Callable[[bytes | None], bool]] = {
        "always": lambda _: True,
        "absent": lambda present: present is None,
        "present": lambda present: present is not None,
        "at 1": lambda present: present == b"1",
        "not at 1": lambda present: present != b"1",
    }
    store, model = SqliteStore(":memory:"), dict[str, bytes]()
    last = store.version()
    for kind, function_id, assembly, name in changes:
        try:
            if kind == "put":
                revision = store.put(function(function_id, assembly), conditions[name], 3).revision
                assert revision > last
            else:
                assert store.delete(function_id, conditions[name]) is (function_id in model)
        except PreconditionFailed:
            assert not holds[name](model.get(function_id))
        else:
            assert holds[name](model.get(function_id))
            if kind == "put":
                model[function_id] = assembly
            else:
                model.pop(function_id, None)
        last = store.version()
    stored = {i: read.assembly for i in store.functions() if (read := store.read(i))}
    assert stored == model
    assert list(stored) == sorted(stored)
    store.close()


@pytest.mark.parametrize("moved", ["away", "replaced"])
def test_a_file_that_is_not_there_any_more_takes_no_changes(
    store: SqliteStore, path: Path, moved: str
) -> None:
    store.put(function("kept", b"1"), ALWAYS, 9)
    aside = path.with_suffix(".aside")
    aside.hardlink_to(path)
    path.unlink()
    if moved == "replaced":
        other = SqliteStore(path.with_suffix(".other"))
        other.close()
        path.with_suffix(".other").rename(path)
    for change in (
        lambda: store.put(function("lost", b"2"), ALWAYS, 9),
        lambda: store.delete("kept", ALWAYS),
        store.request_reload,
    ):
        with pytest.raises(StoreError, match=r"cannot be found|another file"):
            change()
    aside.replace(path)
    assert set(store.functions()) == {"kept"}
    store.put(function("kept too", b"3"), ALWAYS, 9)
    assert set(store.functions()) == {"kept", "kept too"}


def test_the_file_alone_has_every_change(store: SqliteStore, path: Path, tmp_path: Path) -> None:
    store.put(function("kept", b"1"), ALWAYS, 9)
    moved = SqliteStore(path.rename(tmp_path / "moved"))
    assert set(moved.functions()) == {"kept"}
    moved.close()


@pytest.mark.parametrize(
    "damage",
    [
        "handler = x'00ff'", "timeout = 'abc'", "deployed_at = 5", "deployed_at = 'yesterday'",
        "revision = 'x'", "sha256 = x'00'", "concurrency = -1", "timeout = -0.5",
        "handler_type = CAST(x'ff' AS TEXT)", "assembly_name = x'07'",
    ],
)  # fmt: skip
def test_a_damaged_row_is_left_out(
    store: SqliteStore, path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("bad", "good"):
        store.put(function(name, b"1"), ALWAYS, 9)
    with sqlite3.connect(path) as sql:
        sql.execute(f"UPDATE functions SET {damage} WHERE function_id = 'bad'")
    for _ in range(3):
        assert set(store.functions()) == {"good"}
    assert caplog.text.count("is damaged and left out: 'bad'") == 1
    with pytest.raises(StoreError, match="'bad'"):
        store.read("bad")
    store.put(function("bad", b"2"), ALWAYS, 9)
    assert set(store.functions()) == {"bad", "good"}


def test_a_backup_that_is_made_while_functions_are_deployed_is_whole(
    store: SqliteStore, path: Path, tmp_path: Path
) -> None:
    """What was acknowledged before it is in it; what it has, it has whole."""
    acknowledged: list[int] = []
    stop = threading.Event()

    def deploy() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            content = b"%d" % number * 1000
            parts = {"source": b"%d" % number}
            record = store.put(
                replace(function(f"f{number % 7}", content), parts=parts), ALWAYS, 10
            )
            acknowledged.append(record.revision)

    deploying = threading.Thread(target=deploy)
    deploying.start()
    try:
        for attempt in range(5):
            while len(acknowledged) < 10 * (attempt + 1):
                assert deploying.is_alive()
            before = acknowledged[-1]
            copy = tmp_path / f"copy{attempt}.sqlite3"
            with sqlite3.connect(path) as source, sqlite3.connect(copy) as target:
                source.backup(target)
            source.close()
            target.close()
            restored = SqliteStore(copy)
            assert restored.version() >= before
            assert len(restored.functions()) == 7
            for function_id in restored.functions():
                found = restored.read(function_id)
                assert found is not None
                assert found.assembly == found.parts["source"] * 1000
            restored.put(function("g", b"g"), ALWAYS, 10)
            restored.close()
    finally:
        stop.set()
        deploying.join()
