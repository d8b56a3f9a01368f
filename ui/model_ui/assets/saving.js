// What a chart shows, as a PNG, SVG or CSV file.
const NS = "http://www.w3.org/2000/svg";

const save = (name, blob) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 5000);
};
const drawing = (svg) => {
  const copy = svg.cloneNode(true);
  const originals = svg.querySelectorAll("*");
  copy.querySelectorAll("*").forEach((element, index) => {
    const style = getComputedStyle(originals[index]);
    for (const key of ["fill", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "font-family", "font-size", "font-weight", "opacity"]) element.style[key] = style.getPropertyValue(key);
  });
  const page = getComputedStyle(svg.closest(".w-card") ?? document.body).backgroundColor;
  const ground = document.createElementNS(NS, "rect");
  for (const [key, value] of [["width", "100%"], ["height", "100%"], ["fill", page]]) ground.setAttribute(key, value);
  copy.prepend(ground);
  copy.querySelector(".c-pointer")?.remove();
  copy.setAttribute("xmlns", NS);
  return new XMLSerializer().serializeToString(copy);
};
const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const csv = ({ curves, x }) => {
  const rows = new Map();
  curves.forEach((curve, place) => curve.xs.forEach((at, index) => {
    if (!rows.has(at)) rows.set(at, new Array(curves.length).fill(""));
    rows.get(at)[place] = curve.values[index] ?? "";
  }));
  const head = [x, ...curves.map((curve) => quoted(curve.name))].join(",");
  return [head, ...[...rows].sort(([a], [b]) => a - b).map(([at, values]) => [at, ...values].join(","))].join("\n") + "\n";
};
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-save]");
  const figure = button && document.querySelector("figure[data-chart]");
  const chart = figure?.chart;
  if (!chart) return;
  const name = `${figure.dataset.name}.${button.dataset.save}`;
  if (button.dataset.save === "csv") return save(name, new Blob([csv(chart.data)], { type: "text/csv" }));
  const svg = figure.querySelector("svg");
  const text = drawing(svg);
  if (button.dataset.save === "svg") return save(name, new Blob([text], { type: "image/svg+xml" }));
  const picture = new Image();
  picture.onload = () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [svg.clientWidth * 2, svg.clientHeight * 2];
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => save(name, blob));
  };
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
});
