// Keys of the page Label: one for each class, → skips, ← or Ctrl+Z goes back to the last one. The next input takes the
// place of the last one within the page, so that no key is lost while a page loads.
const main = document.getElementById("content");
let under = false;

const follow = async (address, body) => {
  if (under) return;
  // A second press must not say something about the input that is gone.
  under = true;
  try {
    const answer = await fetch(address, { method: body ? "POST" : "GET", body, headers: { accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const content = page.getElementById("content");
    if (!answer.ok || !content) return location.assign(answer.url);
    // A message is told once: by now it is on this page only.
    document.getElementById("status").replaceChildren(...page.getElementById("status").childNodes);
    history.replaceState(null, "", answer.url);
    main.replaceChildren(...content.childNodes);
    document.dispatchEvent(new CustomEvent("marina:changed"));
  } catch {
    location.reload();
  } finally {
    under = false;
  }
};

const press = (event) => {
  if (event.altKey || event.repeat || document.querySelector("dialog[open]")) return;
  if (event.target.closest?.("input:not([type=hidden]), textarea, select, [contenteditable]")) return;
  const key = event.key.toLowerCase();
  const undo = main.querySelector("a[data-undo]");
  const takesBack = event.ctrlKey || event.metaKey;
  const said = [...main.querySelectorAll("button[data-press]")].find((one) => one.dataset.press === key);
  let chosen = null;
  if (takesBack) chosen = key === "z" ? undo : null;
  else if (said) chosen = said;
  else if (key === "arrowleft" || key === "u") chosen = undo;
  else if (key === "arrowright" || key === "s") chosen = main.querySelector("button[data-skip]");
  if (!chosen) return;
  event.preventDefault();
  chosen.classList.add("l-pressed");
  chosen.click();
};

document.addEventListener("keydown", press);
main.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-undo]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  follow(link.href);
});
main.addEventListener("submit", (event) => {
  const form = event.target;
  // What is typed may be wrong: that is told by a page of its own.
  if (form.method !== "post" || form.querySelector("input[name=value]")) return;
  event.preventDefault();
  follow(form.action, new URLSearchParams(new FormData(form, event.submitter)));
});
