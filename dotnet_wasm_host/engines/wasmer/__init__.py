"""wasmer, the second engine, for CPython 3.10 and older."""
