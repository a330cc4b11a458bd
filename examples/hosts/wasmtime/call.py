"""Call a function in a standalone module: call.py FILE ID PAYLOAD."""

import struct
import sys

import wasmtime

file, function_id, payload = sys.argv[1], sys.argv[2].encode(), sys.argv[3].encode()
engine = wasmtime.Engine()
linker = wasmtime.Linker(engine)
linker.define_wasi()
store = wasmtime.Store(engine)
store.set_wasi(wasmtime.WasiConfig())
exports = linker.instantiate(store, wasmtime.Module.from_file(engine, file)).exports(store)
memory, malloc = exports["memory"], exports["malloc"]
exports["_start"](store)


def put(content: bytes) -> int:
    """Address of bytes in the module's memory."""
    address = malloc(store, max(len(content), 1))
    memory.write(store, content, address)
    return address


result = put(bytes(8))
status = exports["invoke"](
    store, put(function_id), len(function_id), put(payload), len(payload), result, result + 4
)
if status:
    sys.exit("the function failed")
address, length = struct.unpack("<II", memory.read(store, result, result + 8))
sys.stdout.write(memory.read(store, address, address + length).decode() + "\n")
