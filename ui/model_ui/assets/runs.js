// The table of experiments: ticking a box, or a link to another tab, is told to Python with its data.
const boxes = () => [...element.querySelectorAll("input[type=checkbox][data-name]")];
// What was ticked here and is not yet in what Python sends: a list that was under way must not take it back.
const mine = new Map();

element.addEventListener("change", (event) => {
  if (!event.target.matches("input[data-name]")) return;
  const { checked } = event.target;
  mine.set(event.target.dataset.name, checked);
  event.target.closest("tr").classList.toggle("chosen", checked);
  trigger("select", { name: event.target.dataset.name, chosen: checked });
});

element.addEventListener("click", (event) => {
  const link = event.target.closest("[data-open]");
  if (link) trigger("submit", { tab: link.dataset.open });
});

document.addEventListener("marina-choose", () => mine.clear());

// Gradio patches the old rows into the new ones: what was ticked by hand would stay with the place, not the row.
watch("value", () => {
  for (const box of boxes()) {
    const { name } = box.dataset;
    if (mine.get(name) === box.hasAttribute("checked")) mine.delete(name);
    box.checked = mine.get(name) ?? box.hasAttribute("checked");
    box.closest("tr").classList.toggle("chosen", box.checked);
  }
});
