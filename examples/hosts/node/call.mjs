// Call a function in a standalone module: node call.mjs FILE ID PAYLOAD
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const [, , file, id, payload] = process.argv;
const wasi = new WASI({ version: "preview1", returnOnExit: true });
// Not wasi.getImportObject(): Bun does not have it.
const imports = { wasi_snapshot_preview1: wasi.wasiImport };
const { instance } = await WebAssembly.instantiate(await readFile(file), imports);
wasi.start(instance);
const { memory, malloc, invoke, free_result } = instance.exports;

function put(text) {
  const bytes = new TextEncoder().encode(text);
  const address = malloc(Math.max(bytes.length, 1));
  new Uint8Array(memory.buffer, address, bytes.length).set(bytes);
  return [address, bytes.length];
}

const result = malloc(8);
if (invoke(...put(id), ...put(payload), result, result + 4) !== 0) throw new Error("the function failed");
const [address, length] = new Uint32Array(memory.buffer, result, 2);
console.log(new TextDecoder().decode(new Uint8Array(memory.buffer, address, length)));
free_result(address);
