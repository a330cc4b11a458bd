"""Every operation of a mounted directory, done beside Linux's own on another directory."""

from __future__ import annotations

import os
import re
import stat
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, rule

from dotnet_wasm_host.imports.files.filesystem import FileSystem
from dotnet_wasm_host.options import Limits, WasiOptions
from tests.unit.test_filesystem_model import (
    IS_ROOT,
    NOBODY,
    LinuxComparison,
    linux_tree,
    paths,
    targets,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class MountComparison(LinuxComparison):
    """The guest works in a mounted directory, under the path of the one it is compared with."""

    def make_ours(self) -> FileSystem:
        self.twin = self.linux.top / "twin"
        self.twin.mkdir()
        self.twin.chmod(0o777)
        if IS_ROOT:
            os.chown(self.twin, NOBODY, NOBODY)
        directories = {str(self.linux.base): (self.twin, False)}
        return FileSystem(WasiOptions(directories=directories), Limits(files_bytes=1_000_000))

    def privileges(self) -> AbstractContextManager[object]:
        return self.linux.entered()

    def tree(self, path: bytes) -> dict[bytes, object]:
        twin = os.fsencode(self.twin)
        return {path + key[len(twin) :]: value for key, value in linux_tree(twin).items()}

    @rule(link_target=targets, path=paths)
    def symlink(self, link_target: tuple[bool, bytes], path: tuple[bool, bytes]) -> None:
        """A guest makes no links; the host makes the same one on both sides."""
        leads_to, where = self.path(link_target), self.path(path)
        folder, name = os.path.split(where)
        if name in {b"", b"."}:
            return

        def made(*, on_twin: bool) -> None:
            # Where links lead in a circle, realpath takes what follows two slashes for a root.
            top = os.path.realpath(re.sub(rb"/+", b"/", folder) or b".")
            if on_twin:
                assert top.startswith(self.base)
                top = os.fsencode(self.twin) + top[len(self.base) :]
            os.symlink(leads_to, os.path.join(top, name))

        errors = []
        for on_twin in (True, False):
            with self.linux.entered():
                try:
                    made(on_twin=on_twin)
                    errors.append(0)
                except OSError as error:
                    errors.append(error.errno or -1)
        assert errors[0] == errors[1]

    def check_links(self) -> None:
        """The host's affair."""

    @invariant()
    def every_node_and_byte_is_accounted_for(self) -> None:
        """What counts is what the guest wrote: all there is, for the mount was empty."""
        files = {}
        for folder, _, names in os.walk(self.twin):
            for name in names:
                found = os.lstat(os.path.join(folder, name))
                if stat.S_ISREG(found.st_mode):
                    files[found.st_ino] = found.st_size
        for fd in self.fs._open:
            found_node = self.fs.node(fd).stat()
            if stat.S_ISREG(found_node.mode) and found_node.device != 1:
                files[found_node.ino] = found_node.size
        assert self.fs._volume.used == sum(files.values())

    def teardown(self) -> None:
        held = self.fs._host_descriptors
        assert held is not None
        super().teardown()
        self.fs.close_host()
        assert all(descriptor.number < 0 for descriptor in held._held)


TestMountComparison = pytest.mark.skipif(sys.platform != "linux", reason="compares with Linux")(
    MountComparison.TestCase
)
TestMountComparison.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
