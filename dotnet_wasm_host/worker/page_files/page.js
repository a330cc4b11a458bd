// The page of a worker: what is deployed, its source, calls of it, and how long they take.

import { CallPane } from "./call.js";
import { createEditor } from "./editor.js";
import { History } from "./history.js";
import { FunctionList } from "./list.js";
import { LatencyPlot, mostLines } from "./plot.js";
import { SourcePane } from "./source.js";
import { $, bytes, shown } from "./texts.js";
import { Refused, ask, get, pathOf, require, setToken } from "./worker.js";

const PERIOD = 1000; // ms between looks at the worker
const latencies = new History();
const plot = new LatencyPlot($("plot"), $("legend"), latencies);
const list = new FunctionList(select);
const calls = new CallPane();
const source = new SourcePane(createEditor, { deployed, typed: () => takesTyped, needsToken: askForToken });
let entries = [];
let selected = chosen(); // an id; null: a new function; undefined: the first one there is
let takesTyped = false;
let timer = 0;
let withToken = null; // what is done again when there is a token

get("health")
  .then((health) => ($("dotnet").textContent = health.version))
  .catch(() => {});
get("openapi.json")
  .then((document) => {
    const described = document.components?.schemas?.FunctionDescription?.properties ?? {};
    takesTyped = "methods" in described;
  })
  .catch(() => {})
  .finally(look);

$("give-token").addEventListener("click", () => askForToken());
// Not a button that submits: the first one of a form is what Enter means.
$("no-token").addEventListener("click", () => $("token-dialog").close("no"));
$("token-dialog").addEventListener("close", () => {
  if ($("token-dialog").returnValue === "yes") {
    setToken($("token").value);
    calls.tokenChanged();
    source.tokenChanged();
    look();
    withToken?.();
  }
  withToken = null;
  $("token").value = "";
});
$("delete").addEventListener("click", () => {
  $("delete-title").textContent = `Delete ${shown(selected)}?`;
  $("delete-dialog").returnValue = "no";
  $("delete-dialog").showModal();
});
$("delete-dialog").addEventListener("close", () => {
  if ($("delete-dialog").returnValue === "yes") remove(selected);
});
$("download").addEventListener("click", download);
window.addEventListener("hashchange", () => {
  const id = chosen();
  if (id !== selected && (id === null || entries.some((entry) => entry.function_id === id))) select(id);
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) look();
});
takeDrops();

function chosen() {
  if (!location.hash) return undefined;
  try {
    return decodeURIComponent(location.hash.slice(1)) || null;
  } catch {
    return undefined;
  }
}

async function look() {
  clearTimeout(timer);
  if (document.hidden) return; // until it is seen again
  try {
    const [ready, listed] = await Promise.all([ask("ready"), ask("functions")]);
    if (listed.ok) show((await listed.json()).functions);
    if (listed.status === 401) $("give-token").hidden = false;
    showState(listed.status === 401 ? "needs token" : ready.ok ? "ready" : "not ready");
  } catch {
    showState("unreachable");
  }
  clearTimeout(timer);
  timer = setTimeout(look, PERIOD);
}

function showState(state) {
  if ($("state").dataset.state === state) return;
  $("state").textContent = state;
  $("state").dataset.state = state;
}

function show(listed) {
  entries = listed;
  const known = entries.some((entry) => entry.function_id === selected);
  if (selected === undefined || (selected !== null && !known)) selected = entries[0]?.function_id ?? null;
  const now = Date.now() / 1000;
  latencies.add(now, entries.filter((e) => e.latency_ms).map((e) => [e.function_id, e.latency_ms]));
  showSelected();
}

function showSelected() {
  const entry = entries.find((each) => each.function_id === selected) ?? null;
  list.show(entries, entry ? selected : null);
  $("title").textContent = entry ? shown(selected) : "New function";
  $("title").classList.toggle("id", Boolean(entry));
  document.title = entry ? `${shown(selected)} – .NET functions` : ".NET functions";
  $("facts").textContent = entry ? facts(entry) : "C# that runs in .NET as soon as you deploy it.";
  $("download").hidden = $("delete").hidden = !entry;
  source.show(entry);
  calls.show(entry);
  // Those that are called, first of all the one that is looked at.
  const plotted = entries
    .filter((each) => latencies.of(each.function_id).length)
    .sort((a, b) => (b.function_id === selected) - (a.function_id === selected) || b.calls - a.calls)
    .slice(0, mostLines)
    .map((each) => each.function_id);
  $("plot").hidden = !plotted.length;
  $("plot-none").hidden = plotted.length > 0;
  plot.show(plotted);
}

function facts(entry) {
  const since = new Date(entry.deployed_at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  return [shown(entry.handler_type), bytes(entry.size), `version ${entry.sha256.slice(0, 10)}`, `deployed ${since}`]
    .filter(Boolean)
    .join(" · ");
}

function select(id) {
  selected = id;
  $("message").textContent = "";
  history.replaceState(null, "", `#${encodeURIComponent(id ?? "")}`);
  showSelected();
  $("title").focus({ preventScroll: true });
}

async function deployed(entry) {
  const others = entries.filter((each) => each.function_id !== entry.function_id);
  entries = [...others, entry].sort((a, b) => (a.function_id < b.function_id ? -1 : 1));
  selected = entry.function_id;
  history.replaceState(null, "", `#${encodeURIComponent(selected)}`);
  showSelected();
  look();
}

async function remove(id) {
  try {
    await require(pathOf(id), { method: "DELETE" });
  } catch (error) {
    if (error instanceof Refused && error.status === 401) askForToken(() => remove(id));
    else $("message").textContent = error.message;
    return;
  }
  source.forget(id);
  entries = entries.filter((entry) => entry.function_id !== id);
  select(entries[0]?.function_id ?? null);
}

async function download() {
  const entry = entries.find((each) => each.function_id === selected);
  try {
    const answer = await require(pathOf(selected));
    const isZip = answer.headers.get("Content-Type") === "application/zip";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = `${entry.assembly_name}${isZip ? ".zip" : ".dll"}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  } catch (error) {
    if (error instanceof Refused && error.status === 401) askForToken(download);
    else $("message").textContent = error.message;
  }
}

// `then` is done as soon as there is a token.
function askForToken(then = null) {
  $("give-token").hidden = false;
  if ($("token-dialog").open) return;
  withToken = then;
  $("token-dialog").returnValue = "no";
  $("token-dialog").showModal();
  $("token").focus();
}

// Files may be dropped anywhere.
function takeDrops() {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  let inside = 0;
  const showDrop = (value) => {
    inside = value;
    $("drop").hidden = value === 0;
  };
  window.addEventListener("dragenter", (event) => hasFiles(event) && showDrop(inside + 1));
  window.addEventListener("dragleave", (event) => hasFiles(event) && showDrop(Math.max(inside - 1, 0)));
  window.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  window.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.stopPropagation(); // the editor would take the file for text
    showDrop(0);
    const [file] = event.dataTransfer.files;
    if (file) source.take(file);
  }, true);
}
