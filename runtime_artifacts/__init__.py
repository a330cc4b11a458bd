"""How the .NET artifacts are made. Not part of the installed package."""
