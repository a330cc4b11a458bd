"""Where assemblies come from: the commit of .NET that they were built from, as they say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["base_library_commit"]

#: The blob of ``[AssemblyInformationalVersion("10.0.10+<commit>")]`` (ECMA-335 II.23.3): prolog,
#: a string with its length, no named arguments.
_VERSION = re.compile(rb"\x01\x00.(\d+\.\d+\.\d+[\w.-]{0,80})\+([0-9a-f]{40})\x00\x00", re.DOTALL)


def base_library_commit(assemblies: Mapping[str, bytes]) -> str:
    """The one commit of dotnet/dotnet that all assemblies name.

    Args:
        assemblies: name to content.

    Raises:
        ArtifactError: one of them names none, or they name several: they are not of one build.
    """
    commits: dict[str, str] = {}
    for name, content in assemblies.items():
        named = {match[2].decode() for match in _VERSION.finditer(content)}
        if len(named) != 1:
            found = ", ".join(sorted(named)) or "none"
            raise ArtifactError(
                f"{name} should name the commit of .NET that it was built from, and names {found}; "
                "take a package whose base library .NET's own build made"
            )
        commits.setdefault(named.pop(), name)
    if len(commits) != 1:
        found = ", ".join(f"{commit} ({name})" for commit, name in commits.items())
        raise ArtifactError(
            f"the base library should be of one commit of .NET, and is of {found or 'none'}; "
            "take a package that was not put together from several builds"
        )
    return next(iter(commits))
