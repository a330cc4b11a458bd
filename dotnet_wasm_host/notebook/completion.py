"""Completion for prompt_toolkit (extra ``notebook``)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prompt_toolkit.completion import Completer, Completion

from dotnet_wasm_host.errors import DotnetHostError
from dotnet_wasm_host.overriding import override

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    from dotnet_wasm_host.notebook.session import CSharpSession

__all__ = ["SessionCompleter"]

_WORD = re.compile(r"\w*$")


class SessionCompleter(Completer):
    """Asks the session which names can stand at the cursor."""

    def __init__(self, session: CSharpSession) -> None:
        self._session = session

    @override
    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        found = _WORD.search(document.text_before_cursor)
        word = found[0] if found else ""
        try:
            names = self._session.complete(document.text, document.cursor_position)
        except DotnetHostError:
            return
        for name in names:
            if name.startswith(word):
                yield Completion(name, start_position=-len(word))
