// node layers.mjs FILE DLL CALLS COUNT...: a base layer whose host loads functions. Milliseconds from
// the file to the first result (compiling among it) and a warm call, and bytes of linear memory and
// of the process with so many functions loaded and called.
import fs from "node:fs";
import process from "node:process";
import { caller, compile, start } from "./host.mjs";

const [, , file, assembly, calls, ...counts] = process.argv;
const payload = new TextEncoder().encode("Ada");
const idle = process.memoryUsage.rss();
const before = performance.now();
const module = await compile(file);
const compiled = performance.now();
const exports = await start(module);
const image = fs.readFileSync(assembly);

function put(bytes) {
  const address = exports.malloc(Math.max(bytes.length, 1));
  new Uint8Array(exports.memory.buffer, address, bytes.length).set(bytes);
  return address;
}
function load(id) {
  const name = new TextEncoder().encode(id);
  const blocks = [put(name), put(image)];
  if (exports.load_assembly(blocks[0], name.length, blocks[1], image.length) !== 0) throw new Error("not loaded");
  blocks.forEach((block) => exports.free(block));
}
const memory = {};
const note = (count) => {
  memory[count] = { linear: exports.memory.buffer.byteLength, process: process.memoryUsage.rss() - idle };
};

note(0);
load("f0");
const call = caller(exports, "f0");
call(payload);
const first = performance.now();
for (let i = 0; i < Number(calls); i++) call(payload);
const warmed = performance.now();
for (let i = 0; i < Number(calls); i++) call(payload);
const warm = (performance.now() - warmed) / Number(calls);
let loaded = 1;
for (const count of counts.map(Number)) {
  for (; loaded < count; loaded++) {
    load(`f${loaded}`);
    caller(exports, `f${loaded}`)(payload);
  }
  note(count);
}
console.log(JSON.stringify({ compile: compiled - before, cold: first - compiled, warm, memory }));
