// The left-hand side: the source of the function that is shown, or the file that takes its place.

import { $, bytes, element, shown } from "./texts.js";
import { Refused, pathOf, require } from "./worker.js";

const LARGEST_SOURCE = 1_000_000; // characters that the editor takes
const DRAFTS = "dotnet-wasm-host drafts";
const SAMPLE_NAME = "greet";
const SAMPLES = {
  bytes: `using System;
using System.Text;

public sealed class Greet : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        string name = Encoding.UTF8.GetString(input);
        Console.WriteLine($"{name.Length} characters came in");
        return Encoding.UTF8.GetBytes($"Hello, {name}!");
    }
}
`,
  typed: `using System;

public static class Greeting
{
    /// <summary>Greets somebody, as often as you like.</summary>
    public static string Greet(string name, int times = 1)
    {
        Console.WriteLine($"greeting {name}");
        return string.Concat(System.Linq.Enumerable.Repeat($"Hello, {name}! ", times)).Trim();
    }
}
`,
};

export class SourcePane {
  #editor;
  #entry = null; // of the list; null for a new function
  #file = null; // {name, content, isSource: false} to deploy instead of the text
  #clean = ""; // the text that is deployed, or that there was nothing of
  #key = null; // id and version that are shown
  #drafts = readDrafts();
  #busy = false;
  #setting = false;
  #isLocked = false; // the source is not shown without a token

  // `deployed(id)` and `typed()`: told of a deploy; whether the worker takes typed functions.
  constructor(createEditor, { deployed, typed, needsToken }) {
    this.deployed = deployed;
    this.typed = typed;
    this.needsToken = needsToken;
    this.#editor = createEditor($("editor"), {
      label: "C# source",
      placeholder: "C#",
      changed: () => this.#changed(),
      submit: () => this.deploy(),
    });
    const plain = this.#editor.kind === "plain";
    const key = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘ Return" : "Ctrl Enter";
    $("editor-note").textContent = plain ? "Built without the code editor: a plain text field." : key;
    $("editor-note").title = plain ? "" : "deploys";
    $("keys").hidden = plain;
    $("deploy-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.deploy();
    });
    $("name").addEventListener("input", () => this.#showState());
    $("open").addEventListener("click", () => $("file").click());
    $("file").addEventListener("change", () => {
      const [file] = $("file").files;
      $("file").value = "";
      if (file) this.take(file);
    });
    $("write").addEventListener("click", () => {
      this.#file = null;
      this.#showBinary(false);
      this.#setText(this.#sample(), "");
      this.#editor.focus();
    });
  }

  // Shows a function of the list; null for a new one.
  async show(entry) {
    const key = entry ? `${entry.function_id}\0${entry.sha256}` : "";
    if (entry && key !== this.#key && entry.function_id === this.#entry?.function_id && this.#changes()) {
      this.#say("another version was deployed meanwhile"); // and this text stays
      return;
    }
    this.#entry = entry;
    if (key === this.#key) {
      this.#showState();
      return;
    }
    this.#key = key;
    this.#file = null;
    this.#showProblems([]);
    $("name-label").hidden = Boolean(entry);
    const draft = this.#drafts[entry?.function_id ?? ""];
    if (!entry) {
      if (!$("name").value) $("name").value = SAMPLE_NAME;
      this.#showBinary(false);
      this.#setText(draft?.text ?? this.#sample(), "");
    } else if (entry.has_source) {
      this.#showBinary(false);
      this.#setText("", "");
      await this.#load(entry, key, draft);
    } else {
      this.#showBinary(true);
      this.#setText("", "");
    }
    this.#showState();
  }

  // A file that was dropped or opened.
  async take(file) {
    const suffix = /\.[^.]*$/.exec(file.name.toLowerCase())?.[0] ?? "";
    if (![".cs", ".dll", ".zip"].includes(suffix)) {
      this.#say(`${shown(file.name)} is no .cs, .dll or .zip file.`);
      return;
    }
    if (!this.#entry) $("name").value = file.name.slice(0, -suffix.length);
    if (suffix === ".cs") {
      if (file.size > LARGEST_SOURCE) {
        this.#say(`${shown(file.name)} is larger than the ${bytes(LARGEST_SOURCE)} that the editor takes.`);
        return;
      }
      this.#file = null;
      this.#showBinary(false);
      this.#setText((await file.text()).replace(/^\ufeff/, ""), this.#clean);
      this.#changed();
      this.#editor.focus();
      return;
    }
    this.#file = { name: file.name, content: file, zip: suffix === ".zip" };
    this.#showProblems([]);
    this.#showBinary(true);
    this.#showState();
    $("deploy").focus();
  }

  focus() {
    if (this.#entry || $("name").value) this.#editor.focus();
    else $("name").focus();
  }

  // Deploys what is shown. `over`: whatever is deployed by now.
  async deploy(over = false) {
    const id = this.#entry ? this.#entry.function_id : $("name").value.trim();
    if (this.#busy || $("deploy").disabled) return;
    if (!id) {
      this.#showProblems([{ text: "Give the function a name." }]);
      $("name").focus();
      return;
    }
    this.#busy = true;
    this.#say("deploying");
    this.#showProblems([]);
    this.#showState();
    const text = this.#editor.getText();
    try {
      const answer = await require(pathOf(id), {
        method: "PUT",
        headers: { "Content-Type": this.#type(), ...(over ? {} : this.#condition()) },
        body: this.#file ? this.#file.content : text,
      });
      const entry = await answer.json();
      this.#entry = entry;
      this.#key = `${id}\0${entry.sha256}`;
      this.#clean = text;
      this.#forgetDrafts(id);
      if (this.#file) {
        this.#file = null;
        this.#key = null;
      }
      $("name-label").hidden = true;
      this.#busy = false;
      this.#say("deployed");
      await this.deployed(entry);
    } catch (error) {
      this.#busy = false;
      this.#say("");
      this.#refused(error, () => this.deploy(over));
    }
    this.#showState();
  }

  tokenChanged() {
    if (this.#isLocked) this.#key = null;
    this.#isLocked = false;
  }

  // What was deleted must not come back as a draft of it.
  forget(id) {
    this.#forgetDrafts(id);
    this.#key = null;
  }

  #sample() {
    return SAMPLES[this.typed() ? "typed" : "bytes"];
  }

  #type() {
    if (!this.#file) return "text/x-csharp";
    return this.#file.zip ? "application/zip" : "application/octet-stream";
  }

  // Nobody's work is written over without a word.
  #condition() {
    return this.#entry ? { "If-Match": `"${this.#entry.sha256}"` } : { "If-None-Match": "*" };
  }

  async #load(entry, key, draft) {
    try {
      const text = await (await require(pathOf(entry.function_id, "source"))).text();
      if (this.#key !== key) return;
      this.#setText(draft?.sha256 === entry.sha256 ? draft.text : text, text);
    } catch (error) {
      if (this.#key !== key) return;
      if (error.status === 401) {
        // Who only came to call it is not asked for a token.
        this.#isLocked = true;
        $("give-token").hidden = false;
        this.#showProblems([{ text: "Its source is shown to those who give the token." }]);
        return;
      }
      this.#key = null;
      this.#refused(error, null);
    }
  }

  #setText(text, clean) {
    this.#clean = clean;
    this.#setting = true;
    this.#editor.setText(text);
    this.#setting = false;
  }

  #changed() {
    if (this.#setting) return;
    const id = this.#entry?.function_id ?? "";
    const text = this.#editor.getText();
    if (text === this.#clean) delete this.#drafts[id];
    else this.#drafts[id] = { text, sha256: this.#entry?.sha256 };
    writeDrafts(this.#drafts);
    this.#say("");
    this.#showState();
  }

  #forgetDrafts(id) {
    delete this.#drafts[id];
    delete this.#drafts[""];
    writeDrafts(this.#drafts);
  }

  #showBinary(value) {
    $("editor").hidden = value;
    $("binary").hidden = !value;
  }

  #showState() {
    const entry = this.#entry;
    const isNew = !entry;
    const changed = this.#changes();
    $("deploy").disabled = this.#busy || !changed;
    $("deploy").textContent = this.#busy ? "Deploying" : "Deploy";
    $("editor-note").hidden = $("editor").hidden;
    if (!this.#busy && !isNew && changed) this.#say("changed");
    if (!$("binary").hidden) {
      $("binary-text").textContent = this.#file
        ? `${shown(this.#file.name)}, ${bytes(this.#file.content.size)}, is not deployed yet.`
        : `${shown(entry?.assembly_name ?? "")}, ${bytes(entry?.size ?? 0)}, was deployed without its source. Drop a file here for another version.`;
      $("write").hidden = Boolean(this.#file);
    }
  }

  // Whether there is something to deploy.
  #changes() {
    const text = $("editor").hidden ? "" : this.#editor.getText();
    return Boolean(this.#file) || (text !== "" && (!this.#entry || text !== this.#clean));
  }

  #say(text) {
    $("source-state").textContent = text;
  }

  // `again`: what to do when there is a token.
  #refused(error, again) {
    if (!(error instanceof Refused)) {
      this.#showProblems([{ text: `The worker did not answer: ${error.message}` }]);
      return;
    }
    if (error.status === 401) {
      this.needsToken(again);
      this.#showProblems([{ text: "This needs the token of the worker." }]);
      return;
    }
    const found = error.problem.diagnostics;
    if (Array.isArray(found) && found.length) {
      found.sort((a, b) => a.line - b.line || a.column - b.column);
      this.#editor.mark(found);
      this.#showProblems(found.map((each) => ({ ...each, text: each.message })));
      return;
    }
    const over = error.status === 412
      ? element("button", { type: "button", className: "quiet", textContent: "Replace it" })
      : null;
    over?.addEventListener("click", () => this.deploy(true));
    this.#showProblems([{ text: error.message, more: over }]);
  }

  // {text} or a diagnostic of the compiler: {line, column, id, severity, text}.
  #showProblems(problems) {
    if (!problems.length) this.#editor.mark([]);
    const nodes = problems.map(({ text, line, column, id, severity, more }) => {
      if (!line) return element("p", { className: "problem" }, element("span", { textContent: text }), more);
      const button = element(
        "button", { type: "button", className: "problem" },
        element("span", { className: "unseen", textContent: `${severity} in line and column ` }),
        element("span", { className: "place", textContent: `${line}:${column}` }),
        element("span", { textContent: text }),
        element("code", { textContent: id }),
      );
      button.dataset.severity = severity;
      button.addEventListener("click", () => this.#editor.goTo(line, column));
      return button;
    });
    $("problems").replaceChildren(...nodes);
  }
}

function readDrafts() {
  try {
    return Object.assign(Object.create(null), JSON.parse(sessionStorage.getItem(DRAFTS) ?? "{}"));
  } catch {
    return Object.create(null);
  }
}

function writeDrafts(drafts) {
  try {
    sessionStorage.setItem(DRAFTS, JSON.stringify(drafts));
  } catch {
    // no storage, or no room: the text is on the page only
  }
}
