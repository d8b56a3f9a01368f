// Parallel coordinates: one line is picked out by the pointer, or by the arrow keys, and said below the drawing.
const set = (plot, at) => {
  const runs = [...plot.querySelectorAll(".p-run")];
  const said = plot.parentElement.querySelector(".p-said");
  runs.forEach((run, place) => run.classList.toggle("p-here", place === at));
  if (at < 0) plot.removeAttribute("data-at");
  else plot.dataset.at = at;
  const name = document.createElement("b");
  name.textContent = at < 0 ? "" : runs[at].dataset.name;
  said.replaceChildren(name, at < 0 ? said.dataset.hint : `: ${runs[at].dataset.words}`);
};
const plotOf = (event) => event.target.closest?.("[data-parallel]");
document.addEventListener("keydown", (event) => {
  const plot = plotOf(event);
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (!plot || (!step && event.key !== "Escape")) return;
  event.preventDefault();
  const count = plot.querySelectorAll(".p-run").length;
  const at = plot.dataset.at === undefined ? (step > 0 ? -1 : 0) : Number(plot.dataset.at);
  set(plot, step ? (at + step + count) % count : -1);
});
document.addEventListener("pointerover", (event) => {
  const plot = plotOf(event);
  if (!plot) return;
  const run = event.target.closest(".p-run");
  if (run) set(plot, [...plot.querySelectorAll(".p-run")].indexOf(run));
});
document.addEventListener("focusout", (event) => {
  const plot = plotOf(event);
  if (plot) set(plot, -1);
});
