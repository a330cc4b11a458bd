// The same .NET runtime in Node: `node node_driver.mjs FOLDER WAY` answers to the session's requests
// (see peers/base.py), `node node_driver.mjs FOLDER WAY once` starts, loads, calls and exits.
// There are two ways to call:
//   export  as the runtime's own JavaScript API has it: a [JSExport] method, a Uint8Array each way.
//   frame   below that API, what dotnet_wasm_host does at a call: payload and frame into linear
//           memory, one call of mono_wasm_invoke_jsexport, one copy of the result.
import fs from "node:fs";
import process from "node:process";
import readline from "node:readline";
import { pathToFileURL } from "node:url";

const FRAME_SIZE = 24;
const BUFFER_SIZE = 64 * 1024;
const STATUS_OK = 0;
const ENTRY_POINTS = ["Invoke", "Load", "Unload"];
const SMALL = new TextEncoder().encode("hello");
const CANNOT = {
  start: "its JavaScript hosts one runtime in a process",
  hold_instances: "its JavaScript hosts one runtime in a process",
};

const [folder, way, once] = process.argv.slice(2);
const started = performance.now();
// Whatever prints, prints to stderr: stdout is the protocol's alone.
console.log = console.info = console.warn = console.debug = console.error;

const nanoseconds = (milliseconds) => Math.round(milliseconds * 1e6);
const read = (name) => fs.readFileSync(`${folder}/${name}`);

class Cannot extends Error {}

async function start() {
  const script = pathToFileURL(`${folder}/node/dotnet.js`);
  const { dotnet } = await import(script);
  const api = await dotnet.create();
  if (way === "frame") return new FrameRuntime(api);
  const exports = await api.getAssemblyExports("Benchmarks.NodeExports.dll");
  return new ExportRuntime(api, exports.Benchmarks.Exports);
}

class ExportRuntime {
  constructor(api, exports) {
    this.version = api.runtimeBuildInfo.productVersion;
    this.module = api.Module;
    this.exports = exports;
    this.handles = {};
  }

  load(id, image) {
    return (this.handles[id] = this.exports.Load(image));
  }

  invoke(handle, payload) {
    return this.exports.Invoke(handle, payload);
  }

  unload(id) {
    this.exports.Unload(this.handles[id]);
  }
}

class FrameRuntime {
  constructor(api) {
    this.version = api.runtimeBuildInfo.productVersion;
    this.module = api.Module;
    this.exports = api.Module.wasmExports;
    this.frame = this.exports.malloc(FRAME_SIZE);
    this.buffer = this.exports.malloc(BUFFER_SIZE);
    const image = this.exports.mono_wasm_assembly_load(this.text("MinimalRuntime"));
    const type = this.exports.mono_wasm_assembly_find_class(
      image, this.text("MinimalRuntime"), this.text("EntryPoints"));
    this.methods = {};
    for (const name of ENTRY_POINTS) {
      this.methods[name] = this.exports.mono_wasm_assembly_find_method(type, this.text(name), -1);
    }
  }

  text(value) {
    const bytes = new TextEncoder().encode(value + "\0");
    const pointer = this.exports.malloc(bytes.length);
    this.module.HEAPU8.set(bytes, pointer);
    return pointer;
  }

  // Returns the handle and the output of an entry point.
  enter(method, handle, payload) {
    const { exports, module, frame } = this;
    const size = payload.length;
    const block = size > BUFFER_SIZE ? exports.malloc(size) : 0;
    const pointer = block || this.buffer;
    module.HEAPU8.set(payload, pointer);
    const at = frame >> 2;
    const before = module.HEAP32;
    before[at] = handle;
    before[at + 1] = pointer;
    before[at + 2] = size;
    exports.mono_wasm_invoke_jsexport(method, frame);
    const words = module.HEAP32;
    const output = words[at + 4];
    const result = module.HEAPU8.slice(output, output + words[at + 5]);
    if (block) exports.free(block);
    if (words[at + 3] !== STATUS_OK) throw new Error(`status ${words[at + 3]}: ${decode(result)}`);
    return [words[at], result];
  }

  load(id, image) {
    return this.enter(this.methods.Load, 0, pack(id, "", image, 0))[0];
  }

  invoke(handle, payload) {
    return this.enter(this.methods.Invoke, handle, payload)[1];
  }

  unload(id) {
    this.enter(this.methods.Unload, 0, pack(id));
  }
}

const decode = (bytes) => new TextDecoder().decode(bytes);

// Integers as 32 bits, texts and bytes behind their length; pack_fields of abi.py.
function pack(...fields) {
  const parts = [];
  for (const field of fields) {
    const bytes = typeof field === "string" ? new TextEncoder().encode(field) : field;
    const number = Buffer.alloc(4);
    number.writeInt32LE(typeof bytes === "number" ? bytes : bytes.length);
    parts.push(number);
    if (typeof bytes !== "number") parts.push(bytes);
  }
  return new Uint8Array(Buffer.concat(parts));
}

function payloadOf(payload) {
  if (typeof payload === "string") return new TextEncoder().encode(payload);
  return Uint8Array.from({ length: payload }, (_, index) => index % 256);
}

class Peer {
  constructor(runtime) {
    this.runtime = runtime;
    this.handles = {};
    this.payloads = {};
    this.echo = read("echo.dll");
    this.held = 0;
  }

  call(name) {
    const handle = (this.handles[name] ??= this.runtime.load(name, read(`${name}.dll`)));
    return (payload) => this.runtime.invoke(handle, payload);
  }

  payload(value) {
    return (this.payloads[value] ??= payloadOf(value));
  }

  versions() {
    return { ".NET": this.runtime.version.split("+")[0], node: process.versions.node };
  }

  check({ function: name, payload }) {
    return decode(this.call(name)(this.payload(payload)));
  }

  warm({ function: name, payload, seconds }) {
    const call = this.call(name), data = this.payload(payload);
    const end = performance.now() + seconds * 1000;
    let count = 0;
    while (count < 2 || performance.now() < end) {
      call(data);
      count++;
    }
    return count;
  }

  sample({ function: name, payload, calls, seconds = 60 }) {
    const call = this.call(name), data = this.payload(payload), times = [];
    const end = performance.now() + seconds * 1000;
    for (let index = 0; index < calls; index++) {
      const start = performance.now();
      call(data);
      const stop = performance.now();
      times.push(nanoseconds(stop - start));
      if (stop > end) break;
    }
    return times;
  }

  rate({ function: name, payload, threads, seconds }) {
    if (threads > 1) throw new Cannot("it has one thread; Node's worker threads were not tried");
    const started = performance.now();
    return this.warm({ function: name, payload, seconds }) / ((performance.now() - started) / 1000);
  }

  load({ times }) {
    const { runtime } = this, stages = { load: [], first: [], second: [], unload: [] };
    for (let index = 0; index < times; index++) {
      const marks = [performance.now()];
      const handle = runtime.load("loaded", this.echo);
      marks.push(performance.now());
      runtime.invoke(handle, SMALL);
      marks.push(performance.now());
      runtime.invoke(handle, SMALL);
      marks.push(performance.now());
      runtime.unload("loaded");
      marks.push(performance.now());
      Object.values(stages).forEach((stage, i) => stage.push(nanoseconds(marks[i + 1] - marks[i])));
    }
    return stages;
  }

  hold_functions({ count }) {
    for (; this.held < count; this.held++) {
      this.runtime.invoke(this.runtime.load(`function-${this.held}`, this.echo), SMALL);
    }
    return { linear: this.runtime.module.HEAPU8.length };
  }

  cycle({ times }) {
    for (let index = 0; index < times; index++) {
      this.runtime.invoke(this.runtime.load("cycled", this.echo), SMALL);
      this.runtime.unload("cycled");
    }
    return { linear: this.runtime.module.HEAPU8.length };
  }
}

async function serve() {
  const peer = new Peer(await start());
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { operation, ...options } = JSON.parse(line);
    let answer;
    try {
      answer = CANNOT[operation] ? { cannot: CANNOT[operation] } : { value: peer[operation](options) };
    } catch (error) {
      answer = error instanceof Cannot ? { cannot: error.message } : { error: String(error) };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
}

async function answerOnce() {
  const runtime = await start();
  const running = performance.now();
  const result = runtime.invoke(runtime.load("echo", read("echo.dll")), SMALL);
  const [boot, call] = [running - started, performance.now() - running].map(nanoseconds);
  process.stdout.write(`${decode(result)} runtime=${boot} load+call=${call}\n`);
}

await (once ? answerOnce() : serve());
process.exit(0);
