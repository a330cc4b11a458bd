// A line plot of latencies over the last two minutes, drawn on a canvas.

const SPAN = 120; // seconds
const DARK = window.matchMedia("(prefers-color-scheme: dark)");
// Colours that are told apart with the common colour blindnesses (Okabe-Ito): the darker ones on
// white, the lighter ones on black.
const COLOURS = {
  light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"],
  dark: ["#56b4e9", "#e69f00", "#1fc497", "#cc79a7", "#f0e442", "#e8743b"],
};

export const mostLines = COLOURS.light.length;

const colour = (number) => COLOURS[DARK.matches ? "dark" : "light"][number];

export class LatencyPlot {
  #canvas;
  #legend;
  #lines = new Map(); // function id -> {number, points: [{time, p50, p99}]}

  constructor(canvas, legend) {
    this.#canvas = canvas;
    this.#legend = legend;
    new ResizeObserver(() => this.draw()).observe(canvas);
    DARK.addEventListener("change", () => {
      this.#showLegend();
      this.draw();
    });
  }

  // `latencies` maps the functions to show to {p50, p99} in milliseconds.
  add(time, latencies) {
    for (const id of this.#lines.keys()) if (!latencies.has(id)) this.#lines.delete(id);
    for (const [id, latency] of latencies) {
      if (!this.#lines.has(id)) {
        const used = new Set([...this.#lines.values()].map((line) => line.number));
        const number = [...Array(mostLines).keys()].find((candidate) => !used.has(candidate));
        if (number === undefined) continue;
        this.#lines.set(id, { number, points: [] });
      }
      const { points } = this.#lines.get(id);
      points.push({ time, ...latency });
      while (points.length && points[0].time < time - SPAN) points.shift();
    }
    this.#showLegend();
    this.draw(time);
  }

  draw(now = performance.now() / 1000) {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    this.#canvas.width = width * ratio;
    this.#canvas.height = height * ratio;
    const pen = this.#canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = "11px system-ui, sans-serif";
    const ink = DARK.matches ? "#a09bb5" : "#625d75";
    const grid = DARK.matches ? "#322f40" : "#e2dfec";
    const box = { left: 58, right: width - 10, top: 8, bottom: height - 22 };
    const scale = this.#scale();
    const y = (ms) =>
      box.bottom - ((Math.log10(ms) - scale.low) / (scale.high - scale.low)) * (box.bottom - box.top);
    const x = (time) => box.right - ((now - time) / SPAN) * (box.right - box.left);

    pen.strokeStyle = grid;
    pen.fillStyle = ink;
    pen.lineWidth = 1;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (let power = scale.low; power <= scale.high; power++) {
      const level = Math.round(y(10 ** power)) + 0.5;
      line(pen, [[box.left, level], [box.right, level]]);
      pen.fillText(label(10 ** power), box.left - 8, level);
    }
    pen.textBaseline = "top";
    pen.textAlign = "center";
    for (let age = 0; age <= SPAN; age += width < 520 ? 60 : 30) {
      pen.textAlign = age === 0 ? "right" : age === SPAN ? "left" : "center";
      pen.fillText(age ? `${age} s ago` : "now", x(now - age), box.bottom + 7);
    }
    for (const { number, points } of this.#lines.values()) {
      if (!points.length) continue;
      pen.strokeStyle = pen.fillStyle = colour(number);
      pen.lineWidth = 2;
      pen.setLineDash([]);
      line(pen, points.map((p) => [x(p.time), y(p.p50)]));
      pen.lineWidth = 1.25;
      pen.setLineDash([4, 3]);
      line(pen, points.map((p) => [x(p.time), y(p.p99)]));
      pen.setLineDash([]);
      const last = points.at(-1);
      pen.beginPath();
      pen.arc(x(last.time), y(last.p50), 3, 0, 2 * Math.PI);
      pen.fill();
    }
  }

  // Whole powers of ten around everything that is shown.
  #scale() {
    const all = [...this.#lines.values()].flatMap((l) => l.points.flatMap((p) => [p.p50, p.p99]));
    const positive = all.filter((value) => value > 0);
    if (!positive.length) return { low: -2, high: 2 };
    const low = Math.floor(Math.log10(Math.min(...positive)));
    const high = Math.ceil(Math.log10(Math.max(...positive)));
    return { low, high: Math.max(high, low + 1) };
  }

  #showLegend() {
    const items = [...this.#lines].map(([id, { number }]) => {
      const item = document.createElement("li");
      const swatch = document.createElement("i");
      swatch.style.background = colour(number);
      item.append(swatch, id);
      return item;
    });
    if (items.length) {
      const key = document.createElement("li");
      key.className = "muted";
      key.textContent = "solid p50, dashed p99";
      items.push(key);
    }
    this.#legend.replaceChildren(...items);
  }
}

function line(pen, points) {
  pen.beginPath();
  points.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
}

function label(ms) {
  if (ms >= 1000) return `${ms / 1000} s`;
  return ms >= 1 ? `${ms} ms` : `${Math.round(ms * 1000)} µs`;
}
