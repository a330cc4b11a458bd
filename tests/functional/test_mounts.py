"""Folders of the host in a guest: System.IO on what is on disk."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.functional.conftest import Programs

pytestmark = pytest.mark.skipif(os.name == "nt", reason="mounts need openat")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("alpha\nbeta\n")
    (folder / "sub" / "b.bin").write_bytes(bytes(range(256)))
    return folder


@pytest.fixture
def runtimes(
    programs: Programs, image: dwh.RuntimeImage
) -> Iterator[Callable[..., tuple[dwh.Runtime, Callable[..., list[Any]]]]]:
    """A runtime with a folder at /data, and a way to have file operations done in it."""
    made = []

    def begin(
        directories: dict[str, Any], limits: dwh.Limits | None = None
    ) -> tuple[dwh.Runtime, Callable[..., list[Any]]]:
        runtime = dwh.Runtime(image, limits=limits, wasi=dwh.WasiOptions(directories=directories))
        made.append(runtime)
        runtime.load_assembly("files", programs["files"], handler_type="Programs.Files")

        def do(*steps: list[Any]) -> list[Any]:
            answer: list[Any] = json.loads(runtime.invoke("files", json.dumps(steps).encode()))
            return answer

        return runtime, do

    yield begin
    for runtime in made:
        runtime.close()


def descriptors_into(folder: Path) -> list[str]:
    """What this process has open below a folder."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(link.readlink()))
        except OSError:
            continue
    return [link for link in links if link.startswith(str(folder))]


def test_a_folder_is_read_where_it_is_mounted(runtimes: Any, folder: Path) -> None:
    _, do = runtimes({"/data": str(folder)})

    assert do(
        ["read", "/data/a.txt"],
        ["lines", "/data/a.txt"],
        ["length", "/data/sub/b.bin"],
        ["list", "/data"],
        ["tree", "/data", "*"],
        ["exists", "/data/sub"],
        ["full", "/data/sub/../a.txt"],
        ["list", "/"],
    ) == [
        "alpha\nbeta\n",
        ["alpha", "beta"],
        256,
        ["/data/a.txt", "/data/sub"],
        ["/data/a.txt", "/data/sub/b.bin"],
        "directory",
        "/data/a.txt",
        ["/data", "/dev", "/home", "/tmp"],
    ]
    assert base64.b64decode(do(["bytes", "/data/sub/b.bin"])[0]) == bytes(range(256))
    (folder / "later").write_text("seen at once")
    assert do(["cwd", "/data"], ["read", "later"]) == ["/data", "seen at once"]


def test_a_folder_is_lent_unless_it_is_given(runtimes: Any, folder: Path) -> None:
    _, do = runtimes({"/data": folder})
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}

    assert set(
        do(
            ["write", "/data/new", "x"],
            ["write", "/data/a.txt", "x"],
            ["append", "/data/a.txt", "x"],
            ["delete", "/data/a.txt"],
            ["move", "/data/a.txt", "/data/b"],
            ["copy", "/data/a.txt", "/data/b"],
            ["mkdir", "/data/made"],
            ["rmdir", "/data/sub", True],
            ["movedir", "/data/sub", "/data/moved"],
            ["touch", "/data/a.txt", 1],
            ["readonly", "/data/a.txt"],
            ["chmod", "/data/a.txt", 511],
            ["link", "/data/link", "/data/a.txt"],
            ["stream", "/data/a.txt"],
        )
    ) <= {"!IOException", "!UnauthorizedAccessException"}
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
    assert do(["copy", "/data/a.txt", "/tmp/a"], ["read", "/tmp/a"])[1] == "alpha\nbeta\n"


def test_what_is_written_to_a_given_folder_is_on_disk(runtimes: Any, folder: Path) -> None:
    _, do = runtimes({"/out": (folder, False)})

    assert (
        do(
            ["write", "/out/new", "hé"],
            ["append", "/out/a.txt", "gamma"],
            ["mkdir", "/out/x/y"],
            ["move", "/out/new", "/out/x/y/moved"],
            ["movedir", "/out/x", "/out/z"],
            ["delete", "/out/sub/b.bin"],
            ["rmdir", "/out/sub"],
            ["touch", "/out/a.txt", 1_000_000_000],
            ["chmod", "/out/a.txt", 0o600],
        )
        == [None] * 9
    )
    assert (folder / "z" / "y" / "moved").read_text("utf-8") == "hé"
    assert (folder / "a.txt").read_text() == "alpha\nbeta\ngamma"
    assert (folder / "a.txt").stat().st_mtime == 1_000_000_000
    assert (folder / "a.txt").stat().st_mode & 0o777 == 0o600
    assert not (folder / "sub").exists()
    assert do(["mode", "/out/a.txt"], ["modified", "/out/a.txt"]) == [0o600, 1_000_000_000]


def test_streams_work_on_disk(runtimes: Any, folder: Path) -> None:
    _, do = runtimes({"/out": (folder, False)})

    last, text, length = do(["seek", "/out/s"])[0]
    assert (last, text, length) == (ord("6"), "01AB456789\0\0", 3)
    assert (folder / "s").read_bytes() == b"01A"

    size, end = do(["stream", "/out/log"])[0]
    expected = "".join(f"{i};" for i in range(1000))
    assert (size, end) == (len(expected), expected[-8:])
    assert (folder / "log").read_text() == expected


def test_nothing_beside_the_folder_is_reached(runtimes: Any, folder: Path) -> None:
    os.symlink(folder.parent / "secret", folder / "absolute")
    os.symlink("../secret", folder / "relative")
    os.symlink("/", folder / "root")
    os.mkfifo(folder / "pipe")
    _, do = runtimes({"/data": (folder, False)})

    answers = do(
        ["read", "/data/../secret"],
        ["read", "/data/absolute"],
        ["read", "/data/relative"],
        ["read", "/data/root" + str(folder.parent / "secret")],
        ["write", "/data/absolute", "x"],
        ["read", str(folder.parent / "secret")],
        ["read", "/data/pipe"],
        ["link", "/data/mine", "../secret"],
    )

    assert all(answer.startswith("!") for answer in answers), answers
    # The root that a link leads to is the guest's.
    assert do(["list", "/data/root/"])[0] == [
        f"/data/root/{name}" for name in ("data", "dev", "home", "tmp")
    ]
    assert do(["target", "/data/absolute"]) == [str(folder.parent / "secret")]
    assert (folder.parent / "secret").read_text() == "secret"


def test_what_a_guest_adds_is_limited(runtimes: Any, folder: Path) -> None:
    _, do = runtimes({"/out": (folder, False)}, dwh.Limits(files_bytes=100_000))
    chunk = "x" * 60_000

    assert do(["write", "/out/1", chunk], ["write", "/tmp/2", chunk]) == [None, "!IOException"]
    assert do(["delete", "/out/1"], ["delete", "/tmp/2"], ["write", "/tmp/2", chunk]) == [None] * 3


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks into /proc")
def test_descriptors_end_with_the_instance(
    runtimes: Any, programs: Programs, image: dwh.RuntimeImage, folder: Path
) -> None:
    runtime, do = runtimes({"/data": (folder, False)})
    do(["cwd", "/data/sub"])
    assert descriptors_into(folder) == [str(folder), str(folder / "sub")]

    runtime.recycle()
    assert do(["cwd"], ["read", "/data/a.txt"]) == ["/", "alpha\nbeta\n"]
    assert descriptors_into(folder) == [str(folder)]

    do(["cwd", "/data/sub"])
    with pytest.raises(dwh.GuestTerminated):
        do(["exit"])
    assert descriptors_into(folder) == [str(folder)]
    assert do(["read", "/data/a.txt"]) == ["alpha\nbeta\n"]

    # Mounts belong to a runtime, not to its image.
    frozen = runtime.snapshot()
    runtime.close()
    assert descriptors_into(folder) == []
    with dwh.Runtime(frozen) as fresh:
        assert json.loads(fresh.invoke("files", b'[["exists", "/data"]]')) == ["nothing"]

    options = dwh.WasiOptions(directories={"/data": folder})
    with dwh.RuntimePool(
        image, size=2, isolation=dwh.Isolation.PER_INVOCATION, wasi=options
    ) as pool:
        pool.load_assembly("files", programs["files"], handler_type="Programs.Files")
        for _ in range(3):
            assert json.loads(pool.invoke("files", b'[["read", "/data/a.txt"]]')) == [
                "alpha\nbeta\n"
            ]
    assert descriptors_into(folder) == []


def test_a_folder_that_is_not_there_is_said_at_once(image: dwh.RuntimeImage, folder: Path) -> None:
    with pytest.raises(ValueError, match="'/data': No such file or directory"):
        dwh.Runtime(image, wasi=dwh.WasiOptions(directories={"/data": folder / "missing"}))
