// A line plot of latencies, drawn on a canvas.

import { SPAN } from "./history.js";
import { shown, time as written } from "./texts.js";

const DARK = window.matchMedia("(prefers-color-scheme: dark)");
// Colours that are told apart with the common colour blindnesses (Okabe-Ito): the darker ones on
// white, the lighter ones on black.
const COLOURS = {
  light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"],
  dark: ["#56b4e9", "#e69f00", "#1fc497", "#cc79a7", "#f0e442", "#e8743b"],
};
const GAP = 5; // seconds without a point that end a line

export const mostLines = COLOURS.light.length;

const colour = (number) => COLOURS[DARK.matches ? "dark" : "light"][number];

export class LatencyPlot {
  #canvas;
  #legend;
  #history;
  #numbers = new Map(); // function id -> number of its colour

  constructor(canvas, legend, history) {
    this.#canvas = canvas;
    this.#legend = legend;
    this.#history = history;
    new ResizeObserver(() => this.draw()).observe(canvas);
    DARK.addEventListener("change", () => this.show([...this.#numbers.keys()]));
  }

  // Shows these functions, whose colours stay while they are shown.
  show(ids) {
    for (const id of this.#numbers.keys()) if (!ids.includes(id)) this.#numbers.delete(id);
    for (const id of ids) {
      if (this.#numbers.has(id)) continue;
      const used = new Set(this.#numbers.values());
      const number = [...Array(mostLines).keys()].find((candidate) => !used.has(candidate));
      if (number !== undefined) this.#numbers.set(id, number);
    }
    this.#showLegend();
    this.draw();
  }

  draw(now = Date.now() / 1000) {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (!width) return;
    this.#canvas.width = width * ratio;
    this.#canvas.height = height * ratio;
    const pen = this.#canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = "11px system-ui, sans-serif";
    const box = { left: 54, right: width - 8, top: 8, bottom: height - 22 };
    const scale = this.#scale();
    const y = (ms) =>
      box.bottom -
      ((Math.log10(Math.max(ms, 1e-3)) - scale.low) / (scale.high - scale.low)) * (box.bottom - box.top);
    const x = (time) => box.right - ((now - time) / SPAN) * (box.right - box.left);
    // For tests, which cannot count points in a picture.
    this.#canvas.dataset.points = [...this.#numbers.keys()].reduce((n, id) => n + this.#history.of(id).length, 0);
    drawAxes(pen, box, scale, x, y, now, width);
    for (const [id, number] of this.#numbers) {
      const points = this.#history.of(id).filter(([time]) => time > now - SPAN);
      if (!points.length) continue;
      pen.strokeStyle = pen.fillStyle = colour(number);
      for (const [column, wide, dash] of [[1, 2, []], [2, 1.25, [4, 3]]]) {
        pen.lineWidth = wide;
        pen.setLineDash(dash);
        for (const part of parts(points)) line(pen, part.map((p) => [x(p[0]), y(p[column])]));
      }
      pen.setLineDash([]);
      const [time, p50] = points.at(-1);
      pen.beginPath();
      pen.arc(x(time), y(p50), 3, 0, 2 * Math.PI);
      pen.fill();
    }
  }

  // Whole powers of ten around everything that is shown.
  #scale() {
    const all = [...this.#numbers.keys()].flatMap((id) => this.#history.of(id).flatMap((p) => [p[1], p[2]]));
    const positive = all.filter((value) => value > 0);
    if (!positive.length) return { low: -2, high: 2 };
    const low = Math.floor(Math.log10(Math.min(...positive)));
    const high = Math.ceil(Math.log10(Math.max(...positive)));
    return { low, high: Math.max(high, low + 1) };
  }

  #showLegend() {
    const items = [...this.#numbers].map(([id, number]) => {
      const item = document.createElement("li");
      const swatch = document.createElement("i");
      swatch.style.background = colour(number);
      const last = this.#history.of(id).at(-1);
      item.append(swatch, shown(id), last ? ` ${written(last[1])}` : "");
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

function drawAxes(pen, box, scale, x, y, now, width) {
  pen.fillStyle = DARK.matches ? "#a3a0b3" : "#615d73";
  pen.strokeStyle = DARK.matches ? "#2c2a38" : "#e8e6ef";
  pen.lineWidth = 1;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (let power = scale.low; power <= scale.high; power++) {
    const level = Math.round(y(10 ** power)) + 0.5;
    line(pen, [[box.left, level], [box.right, level]]);
    pen.fillText(label(10 ** power), box.left - 8, level);
  }
  pen.textBaseline = "top";
  const step = width < 520 ? 150 : 60;
  for (let age = 0; age <= SPAN; age += step) {
    pen.textAlign = age === 0 ? "right" : age === SPAN ? "left" : "center";
    pen.fillText(age ? `${age / 60} min ago` : "now", x(now - age), box.bottom + 7);
  }
}

// Points without a pause between them.
function parts(points) {
  const all = [];
  points.forEach((point, index) => {
    if (index && point[0] - points[index - 1][0] <= GAP) all.at(-1).push(point);
    else all.push([point]);
  });
  return all;
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
