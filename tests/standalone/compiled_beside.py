"""A pytest plugin: what functional tests ask is asked of two standalone modules, too.

One has compiled methods, the other has not; both were called with the same payloads before their
memory was written, so that statics are the same. Answers have to be the same bytes in wasmtime and
in Node.js, errors of the same type and with the same message.
``test_functional_suite.py`` says which tests that is for.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from tests.functional.conftest import FOLDER, SHARED, Conversation
from tests.standalone.beside import FORWARD
from tests.standalone.hosts import HERE, PlainHosts, node_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Calls of each program before its memory is written, with what was asked and answered.
CALLS = 3000
#: Larger payloads are not among them.
_MOST = 20_000
asked: defaultdict[str, dict[bytes, bool]] = defaultdict(dict)
_alone = Conversation.raw


def _noted(
    conversation: Conversation, program: str, handler: str, payload: bytes = b"", **options: Any
) -> bytes:
    question = f"Programs.{handler}\n".encode() + payload
    asked[program][question] = False
    answer = _alone(conversation, program, handler, payload, **options)
    asked[program][question] = len(payload) <= _MOST
    return answer


def pytest_configure() -> None:
    Conversation.raw = _noted  # type: ignore[method-assign,assignment]


def _build(program: str, questions: Mapping[bytes, bool], *, jit: bool) -> dwh.StandaloneModule:
    files = {"Forward.cs": FORWARD}
    for file in (SHARED, f"{program}.cs"):
        files[file] = (FOLDER / file).read_text("utf-8")
    payloads = [question for question, warm in questions.items() if warm]
    warm = [payloads[number % len(payloads)] for number in range(CALLS)]
    return dwh.build_wasm(
        dwh.compile_csharp(files),
        function_id=program,
        handler_type="Forward",
        image="full",
        warm={program: warm},
        jit=jit,
        jit_calls=CALLS,
    )


def _answers(hosts: PlainHosts, program: str, content: bytes) -> list[object]:
    host, answers = hosts.started(content), list[object]()
    for question in asked[program]:
        status, output = host.invoke(program, question)
        answers.append((status, output, host.last_error() if status else None))
    return answers


def _node_answers(program: str, module: dwh.StandaloneModule) -> list[object]:
    with tempfile.TemporaryDirectory() as folder:
        file, questions = Path(folder) / "module.wasm", Path(folder) / "questions.json"
        module.save(file)
        questions.write_text(json.dumps([question.hex() for question in asked[program]]))
        found = node_json(HERE / "node_questions.mjs", str(file), program, str(questions))
    return [(status, bytes.fromhex(output)) for status, output in found["answers"]]


def _compare(program: str) -> tuple[int, Sequence[str]]:
    """How many methods were compiled, and what differs."""
    hosts = PlainHosts()
    compiled = _build(program, asked[program], jit=True)
    interpreted = _build(program, asked[program], jit=False)
    expected = _answers(hosts, program, interpreted.data)
    different = []
    answers = _answers(hosts, program, compiled.data)
    in_node = _node_answers(program, compiled)
    for question, found, node, wanted in zip(
        asked[program], answers, in_node, expected, strict=True
    ):
        assert isinstance(wanted, tuple)
        if found != wanted:
            different.append(f"{program} {question!r:.80}: {found!r:.200}, not {wanted!r:.200}")
        if node != wanted[:2]:
            different.append(f"{program} {question!r:.80} in Node: {node!r:.200}")
    assert compiled.description is not None
    return compiled.description.compiled_methods, different


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    questions = methods = differences = 0
    for program in sorted(asked):
        if not any(asked[program].values()):
            continue
        count, different = _compare(program)
        questions += len(asked[program])
        methods += count
        differences += len(different)
        terminalreporter.write_line(
            f"{program}: {len(asked[program])} questions, {count} compiled methods"
        )
        for line in different:
            terminalreporter.write_line(line)
    terminalreporter.write_line(
        f"compiled: {questions} compared, {differences} different, {methods} methods; "
        f"programs: {' '.join(sorted(asked))}"
    )
