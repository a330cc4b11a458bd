// A host that has nothing but Node.js: node:wasi. Answers in JSON.
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const [, , file, id, ...payloads] = process.argv;
const wasi = new WASI({ version: "preview1", args: [], env: { WHO: "Node" }, returnOnExit: true });
const before = performance.now();
const module = await WebAssembly.compile(await readFile(file));
const compiled = performance.now();
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
wasi.start(instance);
const { memory, malloc, free, invoke, free_result } = instance.exports;

function put(bytes) {
  const pointer = malloc(Math.max(bytes.length, 1));
  new Uint8Array(memory.buffer, pointer, bytes.length).set(bytes);
  return pointer;
}
function call(payload) {
  const name = new TextEncoder().encode(id);
  const bytes = new TextEncoder().encode(payload);
  const [idAt, at, cells] = [put(name), put(bytes), malloc(8)];
  const status = invoke(idAt, name.length, at, bytes.length, cells, cells + 4);
  let output = null;
  if (status === 0) {
    const [pointer, length] = new Uint32Array(memory.buffer, cells, 2);
    output = new TextDecoder().decode(new Uint8Array(memory.buffer, pointer, length));
    free_result(pointer);
  }
  for (const block of [idAt, at, cells]) free(block);
  return { status, output };
}

const answers = [call(payloads[0])];
const first = performance.now();
answers.push(...payloads.slice(1).map(call));
for (let i = 0; i < 2000; i++) call(payloads[0]);
const warmStart = performance.now();
for (let i = 0; i < 5000; i++) call(payloads[0]);
const warm = (performance.now() - warmStart) / 5000;
const times = { compile: compiled - before, first: first - compiled, warm };
console.log(JSON.stringify({ answers, times }));
