"""The cache of images where processes race for it, and where it cannot be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.cache import ENVIRONMENT_VARIABLE

LOAD = "import dotnet_wasm_host as dwh; dwh.Runtime('minimal').close()"


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, ENVIRONMENT_VARIABLE: str(cache)}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="processes wait for each other with flock")
def test_processes_that_race_for_the_first_use_leave_one_image(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", LOAD], env=environment(tmp_path)) for _ in range(4)
    ]
    assert [process.wait(300) for process in processes] == [0] * 4
    assert len(list(tmp_path.glob("*.json"))) == 2  # .NET itself and the image
    assert len(list(tmp_path.glob("*.bin"))) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="mounts are Linux's")
def test_a_folder_of_which_nothing_can_be_executed_is_named(tmp_path: Path) -> None:
    """Machine code is mapped from the cache."""
    unshare = shutil.which("unshare")
    mount = f"mount -t tmpfs -o noexec,mode=700 tmpfs {tmp_path}"
    space = [unshare or "unshare", "--mount", "sh", "-c"]
    tried = subprocess.run([*space, mount], check=False, capture_output=True) if unshare else None
    if tried is None or tried.returncode:
        pytest.skip("this user can mount nothing")
    code = "from dotnet_wasm_host.artifacts.cache import ImageCache; print(ImageCache.locate())"
    done = subprocess.run(
        [*space, f'{mount} && exec {sys.executable} -c "{code}"'],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "None\n"
    assert f"{tmp_path} is on a file system that is mounted noexec" in done.stderr
    assert f"set {ENVIRONMENT_VARIABLE}" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="memfd is Linux's")
def test_a_limit_of_file_sizes_is_named(tmp_path: Path) -> None:
    file = tmp_path / "image"
    dwh.RuntimeImage.load("minimal").save(file)
    code = f"""
import resource
import dotnet_wasm_host as dwh
dwh.RuntimeImage.load("minimal")
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
from dotnet_wasm_host.artifacts.cache import ImageCache
ImageCache.locate().clear()
image = dwh.RuntimeImage.open({str(file)!r})
try:
    dwh.Runtime(image)
except dwh.LimitExceeded as error:
    print(error)
"""
    cache = tmp_path / "cache"
    with_code = environment(cache)
    subprocess.run([sys.executable, "-c", LOAD], env=with_code, check=True)
    done = subprocess.run(
        [sys.executable, "-c", code], env=with_code, capture_output=True, text=True, check=True
    )
    assert "raise its limit of file sizes (ulimit -f)" in done.stdout
    assert "could not be cached" in done.stderr
    assert "raise the limit of file sizes (ulimit -f)" in done.stderr
