// The right-hand side: calls the function that is shown.

import { BytesForm, MethodForm, WrongInput } from "./form.js";
import { $, element, readable, time } from "./texts.js";
import { call, get, hasToken, pathOf, problemOf } from "./worker.js";

const MOST_SHOWN = 200_000; // characters of a result
const MOST_LINES = 1000;
const BETWEEN = 50; // ms between calls when the page keeps calling

export class CallPane {
  #id = null;
  #version = null; // of the function that the fields are for
  #methods = [];
  #definitions = {};
  #form = null;
  #running = null;
  #logs = true; // until the worker refuses them

  constructor() {
    $("call").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#running) this.#running.abort();
      else this.#invoke();
    });
    $("call").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        if (!this.#running) this.#invoke();
      }
    });
    $("repeat").addEventListener("change", () => {
      if ($("repeat").checked && !this.#running) this.#invoke();
    });
    $("method").addEventListener("change", () => this.#showMethod());
    this.#showButton();
  }

  // Shows a function of the list, or none.
  async show(entry) {
    const id = entry?.function_id ?? null;
    if (id !== this.#id) {
      this.#running?.abort();
      this.#id = id;
      this.clear();
      $("timing").textContent = "";
      $("repeat").checked = false;
    }
    const version = entry ? `${id}\0${entry.sha256}` : null;
    if (version === this.#version && this.#form) return;
    this.#version = version;
    this.#methods = [];
    this.#definitions = {};
    if (entry?.kind === "typed") {
      try {
        const signature = await get(pathOf(id, "signature"));
        if (this.#version !== version) return;
        this.#methods = signature.methods;
        this.#definitions = signature.definitions ?? {};
      } catch (error) {
        if (this.#version !== version) return;
        this.#version = undefined; // the next look tries again
        this.#fail(error.message);
      }
    }
    this.#showMethods();
  }

  tokenChanged() {
    this.#logs = true;
    if (this.#version === undefined) this.#version = null;
  }

  clear() {
    $("result").textContent = "";
    delete $("result").dataset.outcome;
    $("log").replaceChildren();
    $("log-part").hidden = true;
  }

  #showMethods() {
    const before = $("method").value;
    const names = this.#methods.map((method) => method.name);
    const isOverload = (name) => names.indexOf(name) !== names.lastIndexOf(name);
    const options = this.#methods.map(
      ({ name, csharp }, index) => new Option(isOverload(name) ? (csharp ?? name) : name, index),
    );
    $("method").replaceChildren(...options);
    if (before && Number(before) < options.length) $("method").value = before;
    $("method-label").hidden = options.length < 2;
    this.#showMethod();
  }

  #showMethod() {
    const method = this.#methods[Number($("method").value)];
    const kept = this.#form?.nodes.some((node) => node.contains(document.activeElement));
    this.#form = method ? new MethodForm(method, this.#definitions) : new BytesForm();
    const about = method && element(
      "p", { className: "signature" },
      element("code", { textContent: method.csharp ?? method.name }),
      method.description ? element("span", { className: "muted", textContent: method.description }) : null,
    );
    $("fields").replaceChildren(...(about ? [about] : []), ...this.#form.nodes);
    if (kept) $("fields").querySelector("input, select, textarea")?.focus();
    this.#showButton();
  }

  #showButton() {
    $("invoke").textContent = this.#running ? "Stop" : "Call";
    $("invoke").disabled = !this.#running && this.#id === null;
    $("call").setAttribute("aria-busy", Boolean(this.#running));
  }

  async #invoke() {
    if (this.#id === null) return;
    this.clear();
    $("timing").textContent = "";
    const method = this.#methods[Number($("method").value)];
    let request, path;
    try {
      request = this.#form.read();
      path = pathOf(this.#id, method ? method.name : "invoke");
    } catch (error) {
      if (error instanceof WrongInput) this.#form.showFault(error.field, error.message);
      $("repeat").checked = false;
      this.#fail(error.message);
      return;
    }
    if (method?.stream) request.headers.Accept = "application/x-ndjson";
    const running = (this.#running = new AbortController());
    this.#showButton();
    const started = performance.now();
    try {
      const answer = await this.#send(path, request, running);
      if (running !== this.#running) return;
      $("timing").textContent = `${answer.status} · ${time(performance.now() - started)}`;
      this.#showAnswer(answer);
    } catch (error) {
      if (running !== this.#running) return;
      $("repeat").checked = false;
      this.#fail(running.signal.aborted ? "Stopped." : `The worker did not answer: ${error.message}`);
    } finally {
      if (running === this.#running) {
        this.#running = null;
        this.#showButton();
        this.#again();
      }
    }
  }

  #again() {
    if (!$("repeat").checked) return;
    setTimeout(() => {
      if ($("repeat").checked && !this.#running) this.#invoke();
    }, BETWEEN);
  }

  async #send(path, request, running) {
    const options = {
      ...request, signal: running.signal, logs: this.#logs,
      log: (line) => this.#addLine(line),
      part: (so_far) => so_far.status < 300 && this.#showAnswer(so_far),
    };
    const answer = await call(path, options);
    if (this.#logs && !hasToken() && answer.status === 401) {
      // Calls may be open to everybody where logs are not.
      this.#logs = false;
      return call(path, { ...options, logs: false });
    }
    return answer;
  }

  #showAnswer({ status, type, content }) {
    const text = readable(content);
    if (status >= 200 && status < 300) {
      const pretty = type.startsWith("application/json") ? indented(text) : text;
      this.#show("success", pretty);
      if (!content.length) $("result").dataset.outcome = "empty";
      return;
    }
    const problem = problemOf(text);
    const parts = [problem.title, problem.detail, problem.stack_trace];
    if (typeof problem.parameter === "string") {
      const fault = problem.expected ? `Expected ${problem.expected}, given ${problem.given}.` : problem.detail;
      this.#form.showFault(problem.parameter, String(fault ?? ""));
    }
    this.#fail(parts.filter(Boolean).join("\n") || `Status ${status}`);
  }

  #fail(text) {
    this.#show("failure", text);
  }

  #show(outcome, text) {
    const cut = text.length > MOST_SHOWN;
    $("result").dataset.outcome = outcome;
    $("result").textContent = cut ? `${text.slice(0, MOST_SHOWN)}\n… ${text.length} characters in all` : text;
  }

  #addLine({ level, text }) {
    $("log-part").hidden = false;
    const line = element("span", { textContent: `${text}\n` });
    line.dataset.level = String(level).toLowerCase();
    const log = $("log");
    log.append(line);
    while (log.childElementCount > MOST_LINES) log.firstElementChild.remove();
    log.scrollTop = log.scrollHeight;
  }
}

function indented(text) {
  try {
    const pretty = JSON.stringify(JSON.parse(text), null, 2);
    // Numbers that JavaScript cannot hold stay as they were written.
    return pretty.replace(/\s/g, "") === text.replace(/\s/g, "") ? pretty : text;
  } catch {
    return text;
  }
}
