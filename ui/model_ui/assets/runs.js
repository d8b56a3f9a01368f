// The table of experiments: ticking a box, or a link to another tab, is told to Python with its data.
const boxes = () => [...element.querySelectorAll("input[type=checkbox][data-name]")];

element.addEventListener("change", (event) => {
  if (!event.target.matches("input[data-name]")) return;
  event.target.closest("tr").classList.toggle("chosen", event.target.checked);
  trigger("select", { name: event.target.dataset.name, chosen: event.target.checked });
});

element.addEventListener("click", (event) => {
  const link = event.target.closest("[data-open]");
  if (link) trigger("submit", { tab: link.dataset.open });
});

// Gradio patches the old rows into the new ones: what was ticked by hand would stay with the place, not the row.
watch("value", () => {
  for (const box of boxes()) box.checked = box.hasAttribute("checked");
});
