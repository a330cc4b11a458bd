"""How Sphinx builds the documentation: ``python -m sphinx -W docs build/docs``."""

from dotnet_wasm_host import __version__

project = "dotnet_wasm_host"
author = "dotnet_wasm_host contributors"
project_copyright = "dotnet_wasm_host contributors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = f"dotnet_wasm_host {version}"

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
