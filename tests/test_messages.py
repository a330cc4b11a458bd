"""What errors say to users: what was expected, what was found, and what to do."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

from dotnet_wasm_host import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(errors.__file__).parent
#: Built-in exceptions that users get for wrong arguments.
BUILT_IN = {"ValueError", "TypeError"}
#: What the guest, .NET or the compiler said; the user's own code is what to mend.
REPORTS = {"CompilationError", "GuestTerminated", "GuestTrap"}
#: Modules whose built-in exceptions a caller in the package catches and explains.
INTERNAL = {
    "artifacts/cache.py",  # ArtifactStore says what to run
    "base_library/publishing.py",
    "engines/wasmer/engine.py",  # the seam of the engines
    "engines/wasmer/memory_content.py",
    "engines/wasmtime/calls.py",
    "engines/wasmtime/code_linker.py",
    "engines/wasmtime/engine.py",
    "engines/wasmtime/module.py",
    "images/image.py",
    "images/json_reader.py",
    "images/state.py",
    "jit/facts.py",
    "linking/description.py",
    "nuget/http_feed.py",  # a PackageError names the feed
    "programs/directives.py",  # a CompilationError has the line
    "typed/blocks.py",  # typed/values.py says which parameter, and what it takes
    "typed/dynamic.py",
    "typed/grids.py",
    "typed/handles.py",
    "typed/json_scalars.py",  # typed/json_reading.py says the same
    "typed/scalars.py",
    "typed/unpacking.py",
    "wasm/binary.py",
    "worker/sqlite_store.py",
}
#: A message that is another error's, and where that is so.
PASSED_ON = "{error}"
PASSING_ON = {
    "guest/function_source.py",
    "packages/references.py",
    "pool/portable.py",  # what carries its parts says it
    "trimming/api_surface.py",
    "worker/deployer.py",
}
#: What advice begins with, behind a punctuation mark or a word that joins.
ADVICE = re.compile(
    r"(?:[;:,.(] |\b(?:or|and|then|otherwise|please|not) |^)"
    r"(?:add|allocate|allow|ask|await|boot|build|call|check|choose|close|compile|convert|copy|"
    r"correct|decode|deploy|encode|free|give|have|import|install|keep|leave|let|load|make|name|"
    r"open|pass|pip install|print|publish|put|raise|read|rename|replace|report|return|run|see|"
    r"rebuild|send|set|share|stage|start|stream|take|try|unload|use|wait|write)\b"
)


class Messages:
    """What the package says, from its syntax trees."""

    def __init__(self) -> None:
        self.trees = {
            file.relative_to(PACKAGE).as_posix(): ast.parse(file.read_text(encoding="utf-8"))
            for file in sorted(PACKAGE.rglob("*.py"))
        }
        #: What constants, functions and attributes of classes say, by name: messages are made
        #: of them.
        self.named: dict[str, str] = {}
        #: What classes of errors make of their arguments, and their arguments' defaults, by class.
        self.composed: dict[str, tuple[str, list[str]]] = {}
        for tree in self.trees.values():
            for node in tree.body:
                self._name(node)
                if isinstance(node, ast.ClassDef):
                    for attribute in node.body:
                        if not isinstance(attribute, ast.FunctionDef):
                            self._name(attribute)
        for node in self.trees["errors.py"].body:
            for made in ast.iter_child_nodes(node):
                if isinstance(made, ast.FunctionDef) and made.name == "__init__":
                    assert isinstance(node, ast.ClassDef)
                    self.composed[node.name] = self._made_by(made)

    def _name(self, node: ast.AST) -> None:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.expr() as value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                self._say(name, self.text(value))
            case ast.FunctionDef(name=name):
                returns = [n.value for n in ast.walk(node) if isinstance(n, ast.Return)]
                self._say(name, " ".join(self.text(value) for value in returns if value))

    def _say(self, name: str, said: str) -> None:
        # Of several texts with one name, one that gives no advice counts.
        if said.strip("{} ") and advises(self.named.get(name, "or use")):
            self.named[name] = said

    def _made_by(self, initialiser: ast.FunctionDef) -> tuple[str, list[str]]:
        template = [
            self.text(argument)
            for call in ast.walk(initialiser)
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__"
            for argument in call.args
        ]
        defaults = [self.text(default) for default in initialiser.args.defaults]
        missing = len(initialiser.args.args) - 1 - len(defaults)
        return " ".join(template), [*[""] * missing, *defaults]

    def text(self, node: ast.expr) -> str:
        """What an expression says, unknown values as ``{}``."""
        said = "{}"
        match node:
            case ast.Constant(value=str(constant)):
                said = constant
            case ast.JoinedStr(values=parts):
                said = "".join(map(self.text, parts))
            case ast.FormattedValue(value=value):
                said = self.text(value)
            case ast.BinOp(left=left, right=right):
                said = self.text(left) + self.text(right)
            case ast.BoolOp(values=values):
                said = self.text(values[-1])
            case ast.IfExp(body=body, orelse=other):
                said = min(self.text(body), self.text(other), key=advises)
            case ast.Name(id="error") | ast.Call(func=ast.Name(id="str"), args=[_]):
                said = PASSED_ON
            case ast.Name(id="advice"):
                said = "use what it says"
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Call(func=ast.Name(id=name)):
                said = self.named.get(name, said)
        return said

    def raised(self) -> Iterator[tuple[str, str, str]]:
        """Module, error and message of every ``raise`` of an error that users see."""
        for module, tree in self.trees.items():
            for node in ast.walk(tree):
                if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
                    continue
                name = ast.unparse(node.exc.func).rpartition(".")[2]
                if name in errors.__all__ or (name in BUILT_IN and module not in INTERNAL):
                    template, defaults = self.composed.get(name, ("", []))
                    given = list(map(self.text, node.exc.args))
                    said = [*given, *defaults[len(given) :], template]
                    yield module, name, " ".join(said)


def advises(said: str) -> bool:
    """Whether a message says what to do."""
    return ADVICE.search(said) is not None


def test_a_message_says_what_to_do() -> None:
    lacking = [
        f"{module}: {error}: {said}"
        for module, error, said in Messages().raised()
        if error not in REPORTS
        and not advises(said)
        and not (PASSED_ON in said and module in PASSING_ON)
    ]
    assert lacking == []


def test_what_advice_is() -> None:
    assert advises("timeout is -1; give seconds above zero, or None")
    assert advises("run: pip install 'wasmtime'")
    assert not advises("the guest used 3 bytes and wrote to them")
    assert not advises("a call is under way, as many as max_calls allows")
