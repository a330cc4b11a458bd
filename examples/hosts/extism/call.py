"""Call an Extism plugin with .NET inside: call.py FILE FUNCTION PAYLOAD."""

import sys

import extism

file, function, payload = sys.argv[1:]
with extism.Plugin({"wasm": [{"path": file}]}, wasi=True) as plugin:
    sys.stdout.write(plugin.call(function, payload, parse=bytes).decode() + "\n")
