"""C# a cell at a time: sessions, the notebook magic, what a terminal reads."""

from dotnet_wasm_host.notebook.session import CellError, CSharpSession

__all__ = ["CSharpSession", "CellError"]
