// node starts.mjs FILE ID: milliseconds to compile the file, and from there to the first result.
import process from "node:process";
import { caller, compile, start } from "./host.mjs";

const [, , file, id] = process.argv;
const before = performance.now();
const module = await compile(file);
const compiled = performance.now();
const answer = caller(await start(module), id)(new TextEncoder().encode("Ada"));
const first = performance.now() - compiled;
if (!new TextDecoder().decode(answer).startsWith("Hello, Ada")) throw new Error("another answer");
console.log(JSON.stringify({ compile: compiled - before, first }));
