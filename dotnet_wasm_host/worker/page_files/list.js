// The list of functions.

import { $, count, element, shown, time } from "./texts.js";

const MANY = 8; // functions, from which on they can be searched

export class FunctionList {
  #selected = null;
  #entries = [];
  #rows = new Map(); // function id -> its button

  // `select(id)` is told of a choice; null for a new function.
  constructor(select) {
    this.select = select;
    $("new").addEventListener("click", () => select(null));
    $("filter").addEventListener("input", () => this.#filter());
    $("functions").addEventListener("keydown", (event) => this.#move(event));
  }

  show(entries, selected) {
    this.#entries = entries;
    this.#selected = selected;
    $("count").textContent = entries.length || "";
    $("none").hidden = entries.length > 0;
    $("filter").hidden = entries.length < MANY;
    const rows = new Map(
      entries.map((entry) => [entry.function_id, this.#rows.get(entry.function_id) ?? this.#row(entry)]),
    );
    const same = rows.size === this.#rows.size && [...rows.keys()].every((id) => this.#rows.has(id));
    this.#rows = rows;
    if (!same) $("functions").replaceChildren(...[...rows.values()].map((button) => button.parentElement));
    for (const entry of entries) this.#update(rows.get(entry.function_id), entry);
    this.#filter();
  }

  #row(entry) {
    const button = element(
      "button", { type: "button" },
      element("span", { className: "id", textContent: shown(entry.function_id) }),
      element("span", { className: "figures" }),
    );
    button.addEventListener("click", () => this.select(entry.function_id));
    element("li", {}, button);
    return button;
  }

  #update(button, entry) {
    const { calls, failures, running, waiting, latency_ms } = entry;
    const parts = calls ? [count(calls, "call"), time(latency_ms?.p50)] : ["not called yet"];
    if (running) parts.push(`${running} running`);
    if (waiting) parts.push(`${waiting} waiting`);
    const figures = button.lastElementChild;
    const failed = failures ? element("span", { className: "failed", textContent: `${count(failures, "failed", "failed")}` }) : null;
    figures.replaceChildren(parts.join(" · "), ...(failed ? [" · ", failed] : []));
    if (entry.function_id === this.#selected) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    // One stop of the Tab key for all of them; arrows move inside.
    const first = this.#selected === null && entry === this.#entries[0];
    button.tabIndex = entry.function_id === this.#selected || first ? 0 : -1;
  }

  #filter() {
    const wanted = $("filter").hidden ? "" : $("filter").value.toLowerCase();
    for (const [id, button] of this.#rows) {
      button.parentElement.hidden = !id.toLowerCase().includes(wanted);
    }
  }

  #move(event) {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!step && event.key !== "Home" && event.key !== "End") return;
    const buttons = [...this.#rows.values()].filter((button) => !button.parentElement.hidden);
    const at = buttons.indexOf(document.activeElement);
    const ends = { Home: 0, End: buttons.length - 1 };
    const next = buttons[ends[event.key] ?? Math.min(Math.max(at + step, 0), buttons.length - 1)];
    event.preventDefault();
    next?.focus();
  }
}
