// node calls.mjs FILE ID FOLDER DLL ROUNDS: microseconds a warm call takes, by round: of a standalone
// module, and of the same .NET and function through the JavaScript that .NET brings for Node. Both
// take turns in one process.
import fs from "node:fs";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { caller, compile, start } from "./host.mjs";

const CALLS = 500;
const WARM = 5000;
const [, , file, id, folder, assembly, rounds] = process.argv;
const print = console.log;
console.log = console.info = console.warn = console.debug = console.error;

const { dotnet } = await import(pathToFileURL(`${folder}/dotnet.js`));
const api = await dotnet.create();
const { Exports } = (await api.getAssemblyExports("Benchmarks.NodeExports.dll")).Benchmarks;
const handle = Exports.Load(fs.readFileSync(assembly));
const calls = {
  standalone: caller(await start(await compile(file)), id),
  glue: (payload) => Exports.Invoke(handle, payload),
};

const payload = new TextEncoder().encode("hello");
const times = { standalone: [], glue: [] };
for (const [name, call] of Object.entries(calls)) {
  for (let i = 0; i < WARM; i++) call(payload);
  if (call(payload).length !== payload.length) throw new Error(`${name} has another answer`);
}
for (let round = 0; round < Number(rounds); round++) {
  for (const [name, call] of Object.entries(calls)) {
    const before = performance.now();
    for (let i = 0; i < CALLS; i++) call(payload);
    times[name].push(((performance.now() - before) / CALLS) * 1000);
  }
}
print(JSON.stringify(times));
process.exit(0);
