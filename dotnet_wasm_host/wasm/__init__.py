"""The WebAssembly binary format."""
