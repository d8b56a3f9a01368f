// The place of the answers: tells the Try page which input they are about, and whether they are the last word. What is
// right is said by a press or a key, without leaving the page; the server answers {said, undo} or {detail}.
const tell = () => {
  const found = element.querySelector("[data-input]");
  const about = found ? { input: Number(found.dataset.input), again: "again" in found.dataset } : null;
  document.dispatchEvent(new CustomEvent("marina-answered", { detail: about }));
  element.querySelectorAll("form[data-right]").forEach(show);
};

const known = new Map(); // input and task -> what this page said about it, and how that is taken back
const keyOf = (form) => `${form.elements.sha256.value} ${form.elements.task.value}`;

const show = (form) => {
  const { said, undo } = known.get(keyOf(form)) || {};
  for (const button of form.querySelectorAll("button[name=value]"))
    button.setAttribute("aria-pressed", String(button.value === said));
  const place = form.querySelector(".m-said");
  place.textContent = said ? `Labelled ${said}. ` : "";
  if (!said || !undo) return;
  const button = document.createElement("button");
  [button.type, button.className, button.textContent] = ["button", "m-button", "Undo"];
  button.dataset.undo = "";
  place.append(button);
};

const say = async (form, changes) => {
  if (form.ariaBusy) return; // of two presses at once the first counts
  form.ariaBusy = "true";
  const body = new URLSearchParams({ ...Object.fromEntries(new FormData(form)), ...changes });
  try {
    const answer = await fetch("right", { method: "POST", body, headers: { accept: "application/json" } });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.detail);
    // One that was taken back is not taken back again.
    known.set(keyOf(form), { said: told.said, undo: changes.isUndo ? null : told.undo });
    show(form);
  } catch (error) {
    form.querySelector(".m-said").textContent = `Not labelled: ${error.message}`;
  } finally {
    form.ariaBusy = null;
  }
};

const takeBack = (form) => {
  const { undo } = known.get(keyOf(form)) || {};
  if (undo) say(form, { ...undo, isUndo: "yes" });
};

element.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-right]")) return;
  event.preventDefault();
  say(event.target, event.submitter?.name ? { value: event.submitter.value } : {});
});
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-undo]");
  if (button) takeBack(button.closest("form"));
});
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.repeat || document.querySelector("dialog[open]")) return;
  if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
  const form = element.querySelector("form[data-right]");
  // Not about an input that has changed since it was asked about.
  if (!form || "stale" in (document.getElementById("answers")?.dataset || {})) return;
  const key = event.key.toLowerCase();
  const button = [...form.querySelectorAll("button[data-press]")].find((one) => one.dataset.press === key);
  if (button) form.requestSubmit(button);
  else if (key === "u") takeBack(form);
});
watch("value", tell);
