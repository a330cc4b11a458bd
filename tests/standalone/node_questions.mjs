// Asks a standalone module questions that are in a file, in hexadecimal digits; answers in JSON.
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const [, , file, id, list] = process.argv;
const wasi = new WASI({ version: "preview1", args: [], env: {}, returnOnExit: true });
const module = await WebAssembly.compile(await readFile(file));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
wasi.start(instance);
const { memory, malloc, free, invoke, free_result } = instance.exports;

function put(bytes) {
  const pointer = malloc(Math.max(bytes.length, 1));
  new Uint8Array(memory.buffer, pointer, bytes.length).set(bytes);
  return pointer;
}
function call(bytes) {
  const name = new TextEncoder().encode(id);
  const [idAt, at, cells] = [put(name), put(bytes), malloc(8)];
  const status = invoke(idAt, name.length, at, bytes.length, cells, cells + 4);
  let output = "";
  if (status === 0) {
    const [pointer, length] = new Uint32Array(memory.buffer, cells, 2);
    output = Buffer.from(memory.buffer, pointer, length).toString("hex");
    free_result(pointer);
  }
  for (const block of [idAt, at, cells]) free(block);
  return [status, output];
}

const questions = JSON.parse(await readFile(list, "utf8"));
console.log(JSON.stringify({ answers: questions.map((text) => call(Buffer.from(text, "hex"))) }));
