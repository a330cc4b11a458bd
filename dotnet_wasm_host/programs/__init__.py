"""C# as people write it: sources with the options of a project, programs with a ``Main``."""
