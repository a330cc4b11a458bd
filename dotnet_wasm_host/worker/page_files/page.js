// The page of a worker: what is deployed, how it does, and a form to call it.

import { LatencyPlot, mostLines } from "./plot.js";

const PERIOD = 1000; // ms between looks at the worker
const $ = (id) => document.getElementById(id);
const plot = new LatencyPlot($("plot"), $("legend"));
let functions = [];
let selected = "";
let calling = false;

$("address").textContent = new URL(".", location).href;
$("function").addEventListener("change", () => select($("function").value));
$("try").addEventListener("submit", (event) => {
  event.preventDefault();
  invoke();
});
$("repeat").addEventListener("change", () => {
  if ($("repeat").checked) invoke();
});
fetch("health")
  .then((answer) => answer.json())
  .then((health) => ($("dotnet").textContent = health.version))
  .catch(() => {});
look();

function headers() {
  const token = $("token").value;
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function look() {
  try {
    const [ready, listed] = await Promise.all([
      fetch("ready"),
      fetch("functions", { headers: headers() }),
    ]);
    showState(ready.ok ? "ready" : "not ready");
    if (listed.ok) show((await listed.json()).functions);
    else if (listed.status === 401) showState("needs token");
  } catch {
    showState("unreachable");
  }
  setTimeout(look, PERIOD);
}

function showState(state) {
  $("state").textContent = state;
  $("state").dataset.state = state;
}

function show(listed) {
  functions = listed;
  $("count").textContent = functions.length || "";
  $("none").hidden = functions.length > 0;
  $("functions").hidden = functions.length === 0;
  if (!functions.some((f) => f.function_id === selected)) selected = functions[0]?.function_id ?? "";
  $("functions").tBodies[0].replaceChildren(...functions.map(row));
  const ids = functions.map((f) => f.function_id);
  const shown = [...$("function").options].map((option) => option.value);
  if (ids.join("\0") !== shown.join("\0")) {
    $("function").replaceChildren(...ids.map((id) => new Option(id, id)));
  }
  $("function").value = selected;
  showButton();
  // Those that are called, first of all the one that is looked at.
  const plotted = functions
    .filter((f) => f.latency_ms)
    .sort((a, b) => (b.function_id === selected) - (a.function_id === selected) || b.calls - a.calls)
    .slice(0, mostLines);
  plot.add(
    performance.now() / 1000,
    new Map(plotted.map((f) => [f.function_id, f.latency_ms])),
  );
}

function row(f) {
  const line = document.createElement("tr");
  line.setAttribute("aria-selected", f.function_id === selected);
  line.addEventListener("click", () => select(f.function_id));
  const name = document.createElement("th");
  name.scope = "row";
  name.textContent = f.function_id;
  name.title = `${f.handler_type} in ${f.assembly_name}, ${f.size} bytes, SHA-256 ${f.sha256}, since ${f.deployed_at}`;
  const cells = [
    ["version wide-only", f.sha256.slice(0, 10)],
    ["number", f.calls],
    [f.failures ? "number failed" : "number", f.failures],
    ["number wide-only", f.running],
    ["number wide-only", f.waiting],
    ["number", time(f.latency_ms?.p50)],
    ["number", time(f.latency_ms?.p99)],
  ].map(([style, text]) => {
    const cell = document.createElement("td");
    cell.className = style;
    cell.textContent = text;
    return cell;
  });
  line.append(name, ...cells);
  return line;
}

function select(id) {
  selected = id;
  show(functions);
}

function time(ms) {
  if (ms === undefined) return "–";
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  return ms < 1000 ? `${ms.toPrecision(3)} ms` : `${(ms / 1000).toPrecision(3)} s`;
}

async function invoke() {
  const payload = readPayload();
  if (payload === null) {
    showResult("failure", "The payload is not hex: give pairs of digits, as in 00 ff 7a.");
    return;
  }
  calling = true;
  showButton();
  const started = performance.now();
  try {
    const answer = await fetch(`functions/${encodeURIComponent($("function").value)}/invoke`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream", ...headers() },
      body: payload,
    });
    const content = new Uint8Array(await answer.arrayBuffer());
    $("timing").textContent = `${answer.status}, ${time(performance.now() - started)} in all`;
    if (answer.ok) showResult("success", readable(content));
    else showResult("failure", explain(new TextDecoder().decode(content)));
  } catch (error) {
    $("timing").textContent = "";
    showResult("failure", String(error));
  }
  calling = false;
  showButton();
  if ($("repeat").checked) setTimeout(() => $("repeat").checked && invoke(), 50);
}

function showButton() {
  $("try").querySelector("button").disabled = calling || !selected;
}

function readPayload() {
  const text = $("payload").value;
  if (new FormData($("try")).get("encoding") === "text") return new TextEncoder().encode(text);
  const digits = text.replace(/\s/g, "");
  if (digits.length % 2 || !/^[0-9a-f]*$/i.test(digits)) return null;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

// Text if it is UTF-8 without control characters, else hex.
function readable(content) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(content);
    if (!/[\0-\x08\x0b\x0c\x0e-\x1f]/.test(text)) return text;
  } catch {
    // not text
  }
  return Array.from(content, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

function explain(body) {
  try {
    const problem = JSON.parse(body);
    return [problem.title, problem.detail, problem.stack_trace].filter(Boolean).join("\n");
  } catch {
    return body;
  }
}

function showResult(outcome, text) {
  $("result").dataset.outcome = outcome;
  $("result").textContent = text;
}
