"""The guides for running it: backups and upgrades, capacity, units of systemd."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import CompiledSources
from tests.docs.snippets import ROOT, snippets_of
from tests.guides.guide_files import GUIDES, files_of, run, write_guide
from tests.installed_programs import require
from tests.worker.conftest import ECHO
from tests.worker.servers import Server

pytestmark = pytest.mark.long


def test_a_backup_of_a_running_worker_is_served(tmp_path: Path, compiled: CompiledSources) -> None:
    write_guide("upgrade", tmp_path, "backup.py")
    with Server(tmp_path / "functions.sqlite3") as server:
        assert server.put("echo", compiled(ECHO).data).status_code == 201
        run(tmp_path, "backup.py")
        assert server.client.delete("/functions/echo").status_code == 204
    with Server(tmp_path / "copy.sqlite3") as server:
        assert server.invoke("echo", b"restored").content == b"restored"


def test_an_older_version_leaves_a_newer_store_alone(tmp_path: Path) -> None:
    store = tmp_path / "functions.sqlite3"
    with closing(sqlite3.connect(store)) as newer:
        newer.execute("PRAGMA user_version = 999")
    program = f"from dotnet_wasm_host.worker import create_app; create_app(store={str(store)!r})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "was written by a newer version" in done.stderr
    with closing(sqlite3.connect(store)) as newer:
        assert newer.execute("PRAGMA user_version").fetchone() == (999,)
        assert newer.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="it reads Linux's /proc")
def test_the_figures_of_capacity_can_be_measured(tmp_path: Path) -> None:
    write_guide("capacity", tmp_path, "measure.py")
    said = run(tmp_path, "measure.py")
    one, place, function, _ = figures(said)
    # What the guide says, with room for other machines.
    assert 10 < one < 60
    assert 0.5 < place < 8
    assert 0.01 < function < 0.5


def figures(said: str) -> list[float]:
    """The first figure of each line, after its text of 36 characters."""
    return [float(line[36:].split()[0]) for line in said.splitlines()]


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    program = require("systemd-analyze", "systemd")
    unit, listener = (s for s in snippets_of(GUIDES / "systemd.md") if s.language == "ini")
    (tmp_path / "functions.socket").write_text(listener.text, encoding="utf-8")
    path = tmp_path / "functions.service"
    text = unit.text.replace("/opt/functions/bin/dotnet-wasm-host", "/bin/true")
    text = text.replace("User=functions", "User=root")

    def complaints(text: str) -> list[str]:
        """What it says of the unit; it may complain about others of this machine, too."""
        path.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [program, "verify", "--man=no", str(path), str(tmp_path / "functions.socket")],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return [line for line in done.stderr.splitlines() if "functions." in line]

    assert complaints(text.replace("[Service]", "[Service]\nNoSuchSetting=1"))
    assert complaints(text) == []
    assert complaints(text.replace("[Unit]", "[Unit]\nRequires=functions.socket")) == []


def test_every_file_that_a_guide_shows_is_run() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")
    )
    for path in sorted(GUIDES.glob("*.md")):
        if files_of(path.stem):
            assert f'"{path.stem}"' in sources, f"no test runs the files of {path.name}"
