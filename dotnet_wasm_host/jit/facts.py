"""The artifact that says how the interpreter's code and structures look.

The artifact build asks the code module and checks the answers in a runtime that it boots
(``runtime_artifacts/pipeline/interpreter_facts.py``). Facts belong to one code module; those of
another are refused.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.jit.interface import MintFacts, Opcode, StructOffsets

if TYPE_CHECKING:
    from dotnet_wasm_host.artifacts.store import ArtifactStore

__all__ = ["CODE", "FACTS", "FORMAT", "encode_facts", "load_facts", "parse_facts"]

FACTS = "mint.json"
CODE = "dotnet.code.wasm"
#: Grows when the file's shape changes.
FORMAT = 1
_MAX_NUMBER = 64
_MAX_TABLE_INDEX = 2**32 - 1


def load_facts(store: ArtifactStore, code_sha256: str | None = None) -> MintFacts:
    """The facts of a store.

    Args:
        store: the installed artifacts.
        code_sha256: of the code module that they are for; the store's by default.

    Raises:
        ArtifactError: they are missing, damaged, or of another code module than the store's.
    """
    return parse_facts(store.read(FACTS), code_sha256 or store.manifest.files[CODE].sha256)


def encode_facts(facts: MintFacts, code_sha256: str) -> bytes:
    """The file: the same bytes for the same facts.

    Args:
        facts: what was found out.
        code_sha256: SHA-256 of the code module that they belong to, in lower-case hex.
    """
    document = {
        "format": FORMAT,
        "code_sha256": code_sha256,
        "offsets": dict(sorted(asdict(facts.offsets).items())),
        "opcodes": [
            [op.name, op.length, op.destinations, op.sources, op.kind] for op in facts.opcodes
        ],
        "simd": [[*place, function] for place, function in sorted(facts.simd.items())],
    }
    return (json.dumps(document, separators=(",", ":")) + "\n").encode()


def parse_facts(data: bytes, code_sha256: str) -> MintFacts:
    """Read :func:`encode_facts`.

    Raises:
        ArtifactError: it is something else, or does not belong to the code module.
    """
    try:
        document = json.loads(data)
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']!r} is not {FORMAT}")
        found = document["code_sha256"]
        if found != code_sha256:
            raise ValueError(f"it belongs to the code module {found!r:.14}, not {code_sha256:.12}")
        return MintFacts(
            opcodes=tuple(_opcode(*item) for item in document["opcodes"]),
            offsets=StructOffsets.from_mapping(
                {name: _number(value, 4095) for name, value in document["offsets"].items()}
            ),
            simd={
                (_number(arguments, 3), _number(number, 4095)): _number(index, _MAX_TABLE_INDEX)
                for arguments, number, index in document["simd"]
            },
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"{FACTS} is damaged: {error}; build the artifacts again") from error


def _number(value: object, limit: int) -> int:
    if type(value) is not int or not 0 <= value <= limit:
        raise ValueError(f"expected a number up to {limit}, found {value!r:.80}")
    return value


def _opcode(name: object, *numbers: object) -> Opcode:
    if not isinstance(name, str):
        raise TypeError(f"expected an opcode's name, found {name!r:.80}")
    return Opcode(name, *(_number(number, _MAX_NUMBER) for number in numbers))
