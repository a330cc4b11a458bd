// A standalone module in Node.js with node:wasi, as examples/hosts/node has it.
import fs from "node:fs";
import { WASI } from "node:wasi";

export const compile = (file) => WebAssembly.compile(fs.readFileSync(file));

export async function start(module) {
  const wasi = new WASI({ version: "preview1", returnOnExit: true });
  const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
  wasi.start(instance);
  return instance.exports;
}

// Payload and result are bytes.
export function caller({ memory, malloc, free, invoke, free_result }, id) {
  const put = (bytes) => {
    const address = malloc(Math.max(bytes.length, 1));
    new Uint8Array(memory.buffer, address, bytes.length).set(bytes);
    return address;
  };
  const name = new TextEncoder().encode(id);
  const [nameAt, result] = [put(name), malloc(8)];
  return (payload) => {
    const at = put(payload);
    const status = invoke(nameAt, name.length, at, payload.length, result, result + 4);
    free(at);
    if (status !== 0) throw new Error("the function failed");
    const [address, length] = new Uint32Array(memory.buffer, result, 2);
    const output = new Uint8Array(memory.buffer, address, length).slice();
    free_result(address);
    return output;
  };
}
