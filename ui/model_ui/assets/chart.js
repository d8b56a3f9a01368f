// Curves of experiments in one chart of our own: one pointer for all, labels at the lines' ends, smoothing and a
// logarithmic scale without asking the server. What is drawn is saved by saving.js.
const NS = "http://www.w3.org/2000/svg";
const HEIGHT = 380;
const GAP = 15;
const LABELLED = 24;
const LETTERS = 28; // of a label

const make = (name, attributes, ...children) => {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};
const short = (value) => {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e6)) return value.toExponential(2);
  return Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(4)));
};

// The exponential mean, corrected for its start so that it does not lag there; gaps stay gaps.
const smoothed = (values, weight) => {
  let mean = 0;
  let norm = 0;
  return values.map((value) => {
    if (value === null) return null;
    mean = weight * mean + (1 - weight) * value;
    norm = weight * norm + (1 - weight);
    return mean / norm;
  });
};

const ticks = (low, high, count) => {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((one) => one * power >= raw) * power;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
};
const decades = (low, high) => {
  const found = [];
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const every = last - first > 3 ? [1] : [1, 2, 5];
  for (let power = first; power <= last; power++)
    for (const digit of every) if (digit * 10 ** power >= low && digit * 10 ** power <= high) found.push(digit * 10 ** power);
  return found;
};

// Names that fit beside the lines: those that begin alike are told apart by how they go on.
const named = (titles) => {
  let same = 0;
  while (titles.length > 1 && same < titles[0].length && titles.every((title) => title[same] === titles[0][same])) same++;
  const word = titles.length ? titles[0].slice(0, same).search(/[^-_ ./]*$/) : 0;
  return titles.map((title) => {
    if (title.length <= LETTERS) return title;
    const rest = word > 1 ? `…${title.slice(word)}` : title;
    return rest.length > LETTERS ? `${rest.slice(0, LETTERS / 2)}…${rest.slice(1 - LETTERS / 2)}` : rest;
  });
};

// How wide a label is, in pixels; its font is that of `.c-label`.
const canvas = document.createElement("canvas").getContext("2d");
const wide = (label) => {
  canvas.font = "12.5px system-ui, sans-serif";
  return canvas.measureText(label).width;
};

class Chart {
  constructor(figure) {
    this.figure = figure;
    figure.chart = this;
    this.place = figure.querySelector(".c-plot");
    this.at = null;
    this.place.addEventListener("pointermove", (event) => this.point(event.clientX - this.place.getBoundingClientRect().left));
    this.place.addEventListener("pointerleave", () => this.point(null));
    this.place.addEventListener("keydown", (event) => this.step(event));
    this.place.addEventListener("blur", () => this.point(null));
    new ResizeObserver(() => this.draw()).observe(this.place);
    this.read();
  }

  // New data, or the same: drawn only if something is new.
  read() {
    const text = this.figure.querySelector("script[data-curves]")?.textContent ?? "";
    if (text === this.text) return;
    this.text = text;
    this.data = JSON.parse(text);
    this.draw();
  }

  options() {
    const form = document.querySelector("form[data-chart-form]");
    const value = (name) => form?.elements.namedItem(name);
    return { weight: Number(value("smooth")?.value ?? 0) || 0, log: value("log")?.checked ?? false };
  }

  draw() {
    const width = this.place.clientWidth;
    if (!width || !this.data) return;
    const { weight, log } = this.options();
    const time = this.data.x === "time";
    const labels = named(this.data.curves.map((curve) => curve.title));
    const curves = this.data.curves.map((curve, index) => {
      const raw = curve.values.map((value) => (value !== null && log && value <= 0 ? null : value));
      const begin = time ? curve.xs[0] : 0;
      return { ...curve, label: labels[index], xs: curve.xs.map((x) => x - begin), raw, shown: weight > 0 ? smoothed(raw, weight) : raw };
    });
    const labelled = width > 700 && curves.length <= LABELLED && curves.length > 1;
    const right = labelled ? Math.ceil(18 + Math.max(...labels.map(wide))) : 14;
    const box = { left: 58, right: width - right, top: 12, bottom: HEIGHT - 34 };
    const xs = curves.flatMap((curve) => curve.xs);
    const ys = curves.flatMap((curve) => [...curve.shown, ...(weight > 0 ? curve.raw : [])]).filter((value) => value !== null);
    const svg = make("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": this.figure.dataset.about ?? "Curves" });
    this.place.replaceChildren(svg);
    if (!ys.length) {
      svg.append(make("text", { x: width / 2, y: HEIGHT / 2, class: "c-text", "text-anchor": "middle" }, log ? "Nothing above 0 to draw" : "No points yet"));
      this.state = null;
      return;
    }
    const span = (low, high, pad) => (low === high ? [low - (Math.abs(low) || 1) * 0.1, high + (Math.abs(high) || 1) * 0.1] : [low - (high - low) * pad, high + (high - low) * pad]);
    const least = xs.reduce((a, b) => Math.min(a, b), Infinity);
    const most = xs.reduce((a, b) => Math.max(a, b), -Infinity);
    const [x0, x1] = span(least, most, 0);
    const lowest = ys.reduce((a, b) => Math.min(a, b), Infinity);
    const highest = ys.reduce((a, b) => Math.max(a, b), -Infinity);
    const [y0, y1] = log ? [lowest / 1.1, highest * 1.1] : span(lowest, highest, 0.05);
    const scale = (value) => (log ? Math.log(value / y0) / Math.log(y1 / y0) : (value - y0) / (y1 - y0));
    const px = (x) => box.left + ((x - x0) / (x1 - x0)) * (box.right - box.left);
    const py = (y) => box.bottom - scale(y) * (box.bottom - box.top);
    this.axes(svg, box, width, log ? decades(y0, y1) : ticks(y0, y1, 6), ticks(x0, x1, Math.max(2, Math.round(width / 130))), px, py, time);
    curves.forEach((curve, index) => {
      const dash = index >= 20 ? "2 3" : index >= 10 ? "7 4" : "none";
      if (weight > 0) svg.append(make("path", { d: line(curve.xs, curve.raw, px, py), class: "c-raw", style: `stroke:${curve.colour}` }));
      svg.append(make("path", { d: line(curve.xs, curve.shown, px, py), class: "c-line", style: `stroke:${curve.colour}`, "stroke-dasharray": dash }));
      const known = curve.shown.filter((value) => value !== null);
      if (known.length === 1) svg.append(make("circle", { cx: px(curve.xs[curve.shown.indexOf(known[0])]), cy: py(known[0]), r: 4, style: `fill:${curve.colour}` }));
      this.lost(svg, curve, px, py);
    });
    if (labelled) this.labels(svg, curves, box, px, py);
    const pointer = make("g", { class: "c-pointer", visibility: "hidden" });
    svg.append(pointer);
    const tip = document.createElement("div");
    tip.className = "c-tip";
    tip.hidden = true;
    this.place.append(tip);
    this.state = { curves, box, px, py, x0, x1, pointer, tip, width, time };
    if (this.at !== null) this.show(this.at);
  }

  axes(svg, box, width, ys, xs, px, py, time) {
    for (const y of ys) {
      svg.append(make("line", { x1: box.left, x2: box.right, y1: py(y), y2: py(y), class: "c-grid" }));
      svg.append(make("text", { x: box.left - 8, y: py(y) + 4, class: "c-text", "text-anchor": "end" }, short(y)));
    }
    for (const x of xs) svg.append(make("text", { x: px(x), y: box.bottom + 17, class: "c-text", "text-anchor": "middle" }, time ? clock(x) : short(x)));
    svg.append(make("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, class: "c-axis" }));
    svg.append(make("text", { x: box.right, y: HEIGHT - 3, class: "c-text", "text-anchor": "end" }, time ? "time since its first point" : "step"));
  }

  // A cross where a curve was NaN or infinite, at the height of the last number before.
  lost(svg, curve, px, py) {
    for (const { x, value } of curve.lost.slice(0, 50)) {
      let before = null;
      curve.xs.forEach((at, index) => {
        if (at <= x && curve.shown[index] !== null) before = curve.shown[index];
      });
      if (before === null) continue;
      const [cx, cy] = [px(x), py(before)];
      const cross = make("path", { d: `M${cx - 4} ${cy - 4}l8 8m0 -8l-8 8`, class: "c-lost", style: `stroke:${curve.colour}` });
      cross.append(make("title", {}, `${curve.title}: ${value} at ${short(x)}`));
      svg.append(cross);
    }
  }

  labels(svg, curves, box, px, py) {
    const ends = curves.map((curve) => {
      let last = curve.shown.length - 1;
      while (last >= 0 && curve.shown[last] === null) last--;
      return last < 0 ? null : { curve, x: px(curve.xs[last]), y: py(curve.shown[last]) };
    });
    const found = ends.filter(Boolean).sort((a, b) => a.y - b.y);
    let above = box.top - GAP;
    for (const end of found) above = end.at = Math.max(end.y, above + GAP);
    let below = box.bottom + GAP;
    for (const end of [...found].reverse()) below = end.at = Math.min(end.at, below - GAP);
    for (const { curve, x, y, at } of found) {
      svg.append(make("path", { d: `M${x} ${y}H${box.right}L${box.right + 6} ${at}h4`, class: "c-lead", style: `stroke:${curve.colour}` }));
      const text = make("text", { x: box.right + 14, y: at + 4, class: "c-label" }, curve.label);
      text.append(make("title", {}, curve.title));
      svg.append(text);
    }
  }

  point(left) {
    if (!this.state) return;
    const { box, x0, x1 } = this.state;
    this.show(left === null || left < box.left - 8 || left > box.right + 8 ? null : x0 + ((left - box.left) / (box.right - box.left)) * (x1 - x0));
  }

  step(event) {
    if (!this.state || (event.key !== "ArrowLeft" && event.key !== "ArrowRight")) return;
    event.preventDefault();
    const { x0, x1 } = this.state;
    const next = (this.at ?? x0) + ((x1 - x0) / 40) * (event.key === "ArrowLeft" ? -1 : 1);
    this.show(Math.min(x1, Math.max(x0, next)));
  }

  show(x) {
    this.at = x;
    const { curves, box, px, py, pointer, tip, width, time } = this.state;
    pointer.setAttribute("visibility", x === null ? "hidden" : "visible");
    tip.hidden = x === null;
    if (x === null) return;
    pointer.replaceChildren(make("line", { x1: px(x), x2: px(x), y1: box.top, y2: box.bottom, class: "c-hair" }));
    const near = curves.map((curve) => nearest(curve, x)).filter(Boolean).sort((a, b) => b.value - a.value);
    for (const { curve, x: at, value } of near) pointer.append(make("circle", { cx: px(at), cy: py(value), r: 3.5, style: `fill:${curve.colour}` }));
    const rows = near.slice(0, 14).map(({ curve, value }) => {
      const row = document.createElement("div");
      const swatch = document.createElement("i");
      swatch.style.background = curve.colour;
      const name = document.createElement("span");
      name.textContent = curve.title;
      const number = document.createElement("b");
      number.textContent = short(value);
      row.append(swatch, name, number);
      return row;
    });
    const head = document.createElement("p");
    head.textContent = time ? clock(x) : `step ${short(near[0]?.x ?? Math.round(x))}`;
    tip.replaceChildren(head, ...rows);
    if (near.length > 14) tip.append(`and ${near.length - 14} more`);
    const left = px(x) + 14 + tip.offsetWidth > width ? px(x) - 14 - tip.offsetWidth : px(x) + 14;
    tip.style.left = `${Math.max(0, left)}px`;
  }
}

const clock = (seconds) => {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Number((seconds / 60).toPrecision(3))} min` : `${Number((seconds / 3600).toPrecision(3))} h`;
};
const line = (xs, ys, px, py) => {
  let d = "";
  let pen = false;
  ys.forEach((y, index) => {
    if (y !== null) d += `${pen ? "L" : "M"}${px(xs[index]).toFixed(1)} ${py(y).toFixed(1)}`;
    pen = y !== null;
  });
  return d;
};
const nearest = (curve, x) => {
  let best = null;
  curve.xs.forEach((at, index) => {
    if (curve.shown[index] !== null && (best === null || Math.abs(at - x) < Math.abs(best.x - x))) best = { curve, x: at, value: curve.shown[index] };
  });
  return best;
};

const charts = new Map();
const all = () => {
  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    if (charts.has(figure)) charts.get(figure).read();
    else charts.set(figure, new Chart(figure));
  }
};
document.addEventListener("marina:changed", all);
all();

document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-chart-form]");
  if (!form || !["smooth", "log"].includes(event.target.name)) return;
  for (const chart of charts.values()) chart.draw();
  const address = new URL(location.href);
  const value = event.target.type === "checkbox" ? (event.target.checked ? "1" : "") : event.target.value;
  if (value && value !== "0") address.searchParams.set(event.target.name, value);
  else address.searchParams.delete(event.target.name);
  history.replaceState(null, "", address.href.replaceAll("%2C", ","));
});
