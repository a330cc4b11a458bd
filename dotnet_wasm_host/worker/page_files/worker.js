// Talks to the worker that this page came from.

let token = "";

export function setToken(value) {
  token = value;
}

export const hasToken = () => token !== "";

// An answer that is not what was asked for; `problem` is its RFC 9457 body as far as it has one.
export class Refused extends Error {
  constructor(status, problem) {
    super([problem.title, problem.detail].filter(Boolean).join("\n") || `Status ${status}`);
    this.status = status;
    this.problem = problem;
  }

  get kind() {
    return String(this.problem.type ?? "").replace("urn:dotnet-wasm-host:", "");
  }
}

// The path of a function, or of something of it. Browsers take "." and ".." out of paths, in every
// spelling, so such ids would be other resources of this worker.
export function pathOf(id, ...more) {
  if (id === "." || id === "..") {
    throw new Refused(0, {
      title: "Not in a browser",
      detail: `Browsers cannot ask for a function called "${id}". Use another client, or another name.`,
    });
  }
  return ["functions", encodeURIComponent(id), ...more.map(encodeURIComponent)].join("/");
}

// An answer whatever its status.
export function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  return fetch(path, { ...options, headers, credentials: "same-origin", redirect: "error" });
}

// An answer of 2xx; Refused for another.
export async function require(path, options) {
  const answer = await ask(path, options);
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

export const get = async (path) => (await require(path)).json();

async function refusal(answer) {
  const text = await answer.text();
  return new Refused(answer.status, problemOf(text));
}

export function problemOf(text) {
  try {
    const problem = JSON.parse(text);
    if (problem && typeof problem === "object") return problem;
  } catch {
    // not JSON
  }
  return { detail: text };
}

// Sends a call and tells what comes while it comes: `log({level, text})` for each line, and at last
// the answer as {status, type, content}; `part(bytes)` as its content arrives. With `logs` the worker
// is asked for the lines, which it gives to those who may deploy.
export async function call(path, { headers, body, logs, signal, log, part }) {
  const answer = await ask(logs ? `${path}?logs=stream` : path, {
    method: "POST", headers, body, signal,
  });
  const type = answer.headers.get("Content-Type") ?? "";
  if (!logs || !type.startsWith("application/x-dotnet-call+ndjson")) {
    const content = new Uint8Array(await answer.arrayBuffer());
    return { status: answer.status, type, content };
  }
  const result = { status: 0, type: "", content: new Uint8Array() };
  for await (const line of linesOf(answer.body)) {
    const event = JSON.parse(line);
    if (event.log) log(event.log);
    if (event.start) Object.assign(result, event.start);
    if (event.body) {
      const piece = Uint8Array.from(atob(event.body), (character) => character.charCodeAt(0));
      result.content = joined(result.content, piece);
      part?.(result);
    }
  }
  if (!result.status) throw new Error("The worker closed the connection before it answered.");
  return result;
}

async function* linesOf(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    const lines = (rest + (value ?? "")).split("\n");
    rest = lines.pop();
    yield* lines.filter(Boolean);
    if (done) return;
  }
}

function joined(first, second) {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}
