// Which deployments are asked. The server says what there is (props.offered, lists of text, name and task; those of the chosen task are shown); the choice is kept
// here, as the names that somebody has put off (props.value), so that nothing from outside can reset it.
const list = element.querySelector(".m-choices");
const off = new Set();

const made = (name) => {
  const label = document.createElement("label");
  const box = document.createElement("input");
  box.type = "checkbox";
  box.name = name;
  label.append(box, document.createElement("span"));
  label.dataset.name = name;
  return label;
};

const show = () => {
  const { task } = document.documentElement.dataset;
  const offered = (props.offered || []).filter(([, , takes]) => takes === task);
  const labels = new Map([...list.children].map((label) => [label.dataset.name, label]));
  const wanted = offered.map(([text, name]) => {
    const label = labels.get(name) || made(name);
    if (label.lastChild.textContent !== text) label.lastChild.textContent = text;
    label.firstChild.checked = !off.has(name);
    label.title = text;
    return label;
  });
  // Moving an element takes its focus: only what has changed is put in again.
  if (wanted.length !== list.children.length || wanted.some((label, at) => list.children[at] !== label))
    list.replaceChildren(...wanted);
};

list.addEventListener("change", (event) => {
  if (event.target.checked) off.delete(event.target.name);
  else off.add(event.target.name);
  props.value = [...off];
  trigger("input");
});
watch("offered", show);
document.addEventListener("marina-task", show);
show();
