// Latencies of the last minutes, kept in this browser so that they survive a reload of the page.

export const SPAN = 300; // seconds
const KEY = "dotnet-wasm-host latency";
const MOST_FUNCTIONS = 40;
const PAUSE = 5; // seconds between two writes

export class History {
  #points = new Map(); // function id -> [[seconds since 1970, p50, p99], ...], old to new
  #saved = 0;

  constructor() {
    this.#load();
    window.addEventListener("pagehide", () => this.#save());
  }

  // `latencies` maps functions to {p50, p99} in milliseconds.
  add(now, latencies) {
    for (const [id, { p50, p99 }] of latencies) {
      if (!this.#points.has(id)) this.#points.set(id, []);
      this.#points.get(id).push([Math.round(now * 10) / 10, p50, p99]);
    }
    this.#forget(now);
    if (now - this.#saved > PAUSE) this.#save(now);
  }

  of(id) {
    return this.#points.get(id) ?? [];
  }

  #forget(now) {
    for (const [id, points] of this.#points) {
      const first = points.findIndex(([time]) => time > now - SPAN);
      if (first < 0) this.#points.delete(id);
      else points.splice(0, first);
    }
  }

  #load() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
      for (const [id, points] of kept.slice(0, MOST_FUNCTIONS)) {
        const valid = points.filter((point) => point.length === 3 && point.every(Number.isFinite));
        if (typeof id === "string" && valid.length) this.#points.set(id, valid);
      }
    } catch {
      this.#points.clear(); // no storage, or another program's
    }
    this.#forget(Date.now() / 1000);
  }

  #save(now = Date.now() / 1000) {
    this.#saved = now;
    try {
      localStorage.setItem(KEY, JSON.stringify([...this.#points].slice(-MOST_FUNCTIONS)));
    } catch {
      // no storage, or no room
    }
  }
}
