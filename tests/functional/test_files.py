"""Files of the guest: System.IO on a file system that exists in memory only."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.functional.conftest import Programs


@pytest.fixture
def start(programs: Programs, image: dwh.RuntimeImage) -> Iterator[Callable[..., Any]]:
    """Start a guest with options; the result carries out file operations in it."""
    runtimes = []

    def begin(*, limits: dwh.Limits | None = None, **options: Any) -> Callable[..., list[Any]]:
        runtime = dwh.Runtime(image, limits=limits, wasi=dwh.WasiOptions(**options))
        runtimes.append(runtime)
        runtime.load_assembly("files", programs["files"], handler_type="Programs.Files")

        def do(*steps: list[Any]) -> list[Any]:
            answer: list[Any] = json.loads(runtime.invoke("files", json.dumps(steps).encode()))
            return answer

        return do

    yield begin
    for runtime in runtimes:
        runtime.close()


def test_text_is_written_appended_and_read(start: Callable[..., Any]) -> None:
    do = start()

    assert do(
        ["write", "/tmp/a", "hé\nb\n"],
        ["append", "/tmp/a", "c"],
        ["read", "/tmp/a"],
        ["lines", "/tmp/a"],
        ["bytes", "/tmp/a"],
        ["length", "/tmp/a"],
    )[2:] == [
        "hé\nb\nc",
        ["hé", "b", "c"],
        base64.b64encode("hé\nb\nc".encode()).decode(),
        len("hé\nb\nc".encode()),
    ]
    assert do(["write", "/tmp/a", "shorter"], ["read", "/tmp/a"])[1] == "shorter"


def test_files_live_as_long_as_the_instance(start: Callable[..., Any]) -> None:
    do, other = start(), start()
    do(["write", "/kept", "kept"])

    assert do(["read", "/kept"]) == ["kept"]
    assert other(["exists", "/kept"]) == ["nothing"]
    assert not Path("/kept").exists()


def test_copy_move_and_delete(start: Callable[..., Any]) -> None:
    do = start()
    do(["write", "/tmp/a", "text"])

    assert do(["copy", "/tmp/a", "/tmp/b"], ["move", "/tmp/b", "/tmp/c"]) == [None, None]
    assert do(["list", "/tmp"]) == [["/tmp/a", "/tmp/c"]]
    assert do(["move", "/tmp/a", "/tmp/c"], ["read", "/tmp/a"]) == ["!IOException", "text"]
    assert do(["delete", "/tmp/a"], ["delete", "/tmp/a"], ["list", "/tmp"]) == [
        None,
        None,  # .NET does not mind a file that is not there.
        ["/tmp/c"],
    ]


def test_directories_are_made_listed_moved_and_removed(start: Callable[..., Any]) -> None:
    do = start()
    do(["mkdir", "/a/b/c"], ["write", "/a/b/x.cs", ""], ["write", "/a/b/c/y.cs", ""],
       ["write", "/a/b/c/z.txt", ""])  # fmt: skip

    assert do(["list", "/a/b"]) == [["/a/b/c", "/a/b/x.cs"]]
    assert do(["tree", "/a", "*.cs"]) == [["/a/b/c/y.cs", "/a/b/x.cs"]]
    assert do(["movedir", "/a/b", "/moved"], ["tree", "/moved", "*"])[1] == [
        "/moved/c/y.cs",
        "/moved/c/z.txt",
        "/moved/x.cs",
    ]
    assert do(["exists", "/a/b"], ["exists", "/moved"]) == ["nothing", "directory"]
    assert do(["rmdir", "/moved"], ["rmdir", "/moved", True], ["exists", "/moved"]) == [
        "!IOException",
        None,
        "nothing",
    ]


def test_what_is_missing_or_of_another_kind_is_an_exception(start: Callable[..., Any]) -> None:
    do = start()
    do(["mkdir", "/folder"], ["write", "/file", ""])

    assert do(
        ["read", "/missing"],
        ["read", "/no/where"],
        ["read", "/folder"],
        ["write", "/folder", ""],
        ["write", "/file/below", ""],
        ["list", "/missing"],
        ["move", "/missing", "/x"],
        ["write", "", ""],
        ["write", "nul\0byte", ""],
    ) == [
        "!FileNotFoundException",
        "!DirectoryNotFoundException",
        "!UnauthorizedAccessException",
        "!UnauthorizedAccessException",
        "!DirectoryNotFoundException",
        "!DirectoryNotFoundException",
        "!FileNotFoundException",
        "!ArgumentException",
        "!ArgumentException",
    ]


def test_the_current_directory_starts_relative_paths(start: Callable[..., Any]) -> None:
    do = start()

    assert do(["cwd"], ["cwd", "/tmp"], ["full", "x/../y"], ["write", "y", "relative"]) == [
        "/",
        "/tmp",
        "/tmp/y",
        None,
    ]
    assert do(["read", "/tmp/y"]) == ["relative"]


def test_a_stream_seeks_overwrites_extends_and_cuts(start: Callable[..., Any]) -> None:
    do = start()

    last, text, length = do(["seek", "/tmp/s"])[0]
    assert last == ord("6")
    assert text == "01AB456789\0\0"
    assert length == 3
    assert do(["length", "/tmp/s"], ["read", "/tmp/s"]) == [3, "01A"]


def test_times_and_attributes_are_kept(start: Callable[..., Any]) -> None:
    do = start()
    do(["write", "/tmp/a", "x"], ["touch", "/tmp/a", 1_000_000_000], ["readonly", "/tmp/a"])

    assert do(["modified", "/tmp/a"], ["write", "/tmp/a", "y"], ["read", "/tmp/a"]) == [
        1_000_000_000,
        "!UnauthorizedAccessException",
        "x",
    ]


def test_temporary_files_go_to_tmp(start: Callable[..., Any]) -> None:
    do = start()
    content, folder, parent = do(["temp", "scratch"])[0]

    assert (content, folder, parent) == ("scratch", "/tmp/", "/tmp")
    assert len(do(["list", "/tmp"])[0]) == 1


def test_given_files_are_there_and_belong_to_the_guest(start: Callable[..., Any]) -> None:
    files = {"/data/in.json": b'{"x": 1}', "/data/deep/er/bin": bytes(range(256)), "/tmp/t": b""}
    do = start(files=files)

    assert do(["read", "/data/in.json"]) == ['{"x": 1}']
    assert base64.b64decode(do(["bytes", "/data/deep/er/bin"])[0]) == bytes(range(256))
    assert do(["tree", "/data", "*"])[0] == ["/data/deep/er/bin", "/data/in.json"]
    do(["append", "/data/in.json", "!"], ["delete", "/tmp/t"])
    assert do(["read", "/data/in.json"], ["exists", "/tmp/t"]) == ['{"x": 1}!', "nothing"]
    assert files["/data/in.json"] == b'{"x": 1}'


def test_the_space_for_files_is_limited(start: Callable[..., Any]) -> None:
    do = start(limits=dwh.Limits(files_bytes=100_000))
    chunk = "x" * 60_000

    assert do(["write", "/a", chunk], ["write", "/b", chunk], ["length", "/a"]) == [
        None,
        "!IOException",
        60_000,
    ]
    assert do(["delete", "/a"], ["delete", "/b"], ["write", "/c", chunk]) == [None, None, None]


def test_files_that_do_not_fit_at_the_start_are_refused(image: dwh.RuntimeImage) -> None:
    with pytest.raises(dwh.LimitExceeded, match="/big"):
        dwh.Runtime(
            image,
            limits=dwh.Limits(files_bytes=10),
            wasi=dwh.WasiOptions(files={"/big": bytes(11)}),
        ).close()


def test_devices_are_what_they_are_on_linux(start: Callable[..., Any]) -> None:
    do = start(random=lambda count: b"\x07" * count)

    assert base64.b64decode(do(["random", ""])[0]) == b"\x07" * 8
    assert do(["write", "/dev/null", "gone"], ["read", "/dev/null"]) == [None, ""]


def test_nothing_of_the_host_is_seen(start: Callable[..., Any], tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    do = start()

    assert do(["read", str(secret)], ["read", "/etc/passwd"], ["list", "/"]) == [
        "!DirectoryNotFoundException",
        "!DirectoryNotFoundException",
        ["/dev", "/home", "/tmp"],
    ]
