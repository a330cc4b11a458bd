"""Code and signatures that get into another assembly, where what they refer to has other rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.il import CATCH, Body, tokens
from dotnet_wasm_host.ecma335.rows import MethodSpecRow, StandAloneSigRow, TypeSpecRow
from dotnet_wasm_host.ecma335.signatures import rename, rename_type
from dotnet_wasm_host.ecma335.tables import METHOD_DEF_OR_REF, TYPE_DEF_OR_REF, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.ecma335.metadata import Metadata

__all__ = ["ROW_BITS", "ROW_MASK", "Retargeting", "RowWriter"]

#: II.22: tokens are a table's number above a row number.
ROW_BITS = 24
ROW_MASK = (1 << ROW_BITS) - 1
#: II.24.2.4: the first byte of a token into the #US heap.
USER_STRING = 0x70


class RowWriter(Protocol):
    """An assembly that is written."""

    def add(self, table: Table, *cells: int | str | bytes) -> int:
        """Add a row, with texts and blobs in the place of their indices; its number."""

    def user_string(self, content: bytes) -> int:
        """Index of a literal."""


class Retargeting(ABC):
    """Gives tokens and indices their new values; adds references at their first use.

    Args:
        name: of the assembly that the code is from, for messages.
        metadata: of that assembly.
        writer: the assembly that the code gets into.
        new: table to old row to new row, of what gets there with the code.
    """

    def __init__(
        self,
        name: str,
        metadata: Metadata,
        writer: RowWriter,
        new: Mapping[Table, Mapping[int, int]],
    ) -> None:
        self._name = name
        self._metadata = metadata
        self._writer = writer
        self._new = new
        self._memo: dict[tuple[object, ...], int] = {}

    @abstractmethod
    def _type_reference(self, row: int) -> int:
        """The TypeDefOrRef index of what a TypeRef refers to."""

    @abstractmethod
    def _member_reference(self, row: int) -> int:
        """The token of what a MemberRef refers to."""

    def body(self, body: Body) -> Body:
        """A method body, with the tokens that it has in the new assembly."""
        code = bytearray(body.code)
        for position, op, token in tokens(body.code):
            code[position : position + 4] = self.token(op, token).to_bytes(4, "little")
        clauses = tuple(
            clause._replace(extra=self.token(0, clause.extra)) if clause.kind == CATCH else clause
            for clause in body.clauses
        )
        local = self.token(0, body.locals_token) if body.locals_token else 0
        return replace(body, code=bytes(code), clauses=clauses, locals_token=local)

    def token(self, op: int, token: int) -> int:
        """The token that says the same in the new assembly; ``op`` is the opcode before it."""
        table, row = token >> ROW_BITS, token & ROW_MASK
        if table == USER_STRING:
            return USER_STRING << ROW_BITS | self._literal(op, self._metadata.user_string(row))
        kind = Table(table)
        if kind in {Table.TYPE_DEF, Table.TYPE_REF, Table.TYPE_SPEC}:
            new_kind, new = TYPE_DEF_OR_REF.split(self.type(TYPE_DEF_OR_REF.join(kind, row)))
            return int(new_kind) << ROW_BITS | new
        if kind in {Table.METHOD_DEF, Table.FIELD}:
            return int(kind) << ROW_BITS | self.renumber(kind, row)
        if kind is Table.MEMBER_REF:
            return self._member_reference(row)
        if kind is Table.METHOD_SPEC:
            method, arguments = self._metadata.row(MethodSpecRow, row)
            cells = self.method(method), self.signature(arguments)
            return int(kind) << ROW_BITS | self.once(kind, *cells)
        if kind is Table.STAND_ALONE_SIG:
            signature = self._metadata.row(StandAloneSigRow, row).signature
            return int(kind) << ROW_BITS | self.once(kind, self.signature(signature))
        raise MalformedImage(f"token {token:#x} in code of {self._name}")

    def _literal(self, op: int, content: bytes) -> int:
        return self._writer.user_string(content)

    def renumber(self, table: Table, row: int) -> int:
        """The new number of a type, method or field that gets there."""
        new = self._new[table].get(row)
        if new is None:
            raise AssertionError(f"{table.name} {row} of {self._name} does not get there")
        return new

    def once(self, table: Table, *cells: int | str | bytes) -> int:
        """The row with these cells, added at its first use."""
        key = (table, *cells)
        found = self._memo.get(key)
        if found is None:
            found = self._memo[key] = self._writer.add(table, *cells)
        return found

    def signature(self, index: int) -> bytes:
        """The blob of a signature of anything but a type."""
        return rename(self._metadata.blob(index), self.type)

    def type(self, coded: int) -> int:
        """A TypeDefOrRef index of the new assembly."""
        key = ("type", coded)
        found = self._memo.get(key)
        if found is None:
            found = self._memo[key] = self._new_type(coded)
        return found

    def _new_type(self, coded: int) -> int:
        table, row = TYPE_DEF_OR_REF.split(coded)
        if table is Table.TYPE_DEF:
            return TYPE_DEF_OR_REF.join(table, self.renumber(table, row))
        if table is Table.TYPE_SPEC:
            blob = self._metadata.blob(self._metadata.row(TypeSpecRow, row).signature)
            return TYPE_DEF_OR_REF.join(table, self.once(table, rename_type(blob, self.type)))
        return self._type_reference(row)

    def method(self, coded: int) -> int:
        """A MethodDefOrRef index of the new assembly."""
        table, row = METHOD_DEF_OR_REF.split(coded)
        token = self.token(0, int(table) << ROW_BITS | row)
        return METHOD_DEF_OR_REF.join(Table(token >> ROW_BITS), token & ROW_MASK)
