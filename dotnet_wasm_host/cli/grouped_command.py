"""A command with many options, whose help has them under headings."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from typer.core import TyperCommand

from dotnet_wasm_host.overriding import override

if TYPE_CHECKING:
    from typing import Any

__all__ = ["GroupedCommand"]


@final
class GroupedCommand(TyperCommand):
    """Shows options by their ``rich_help_panel``, also where the help is plain text."""

    @override
    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                heading = getattr(parameter, "rich_help_panel", None) or "Options"
                groups.setdefault(heading, []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)
