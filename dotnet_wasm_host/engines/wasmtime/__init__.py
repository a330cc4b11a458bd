"""wasmtime, the default engine, through its C API."""
