// The list of tokens and the text of a new one. Revoking is for good, so its button asks once more.
const ASKS_MS = 5000;

element.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-revoke], button[data-copy]");
  if (!button) return;
  if (button.dataset.revoke) revoke(button);
  else await copy(button);
});

const revoke = (button) => {
  if (button.dataset.sure) {
    trigger("submit", { id: button.dataset.revoke });
    return;
  }
  button.dataset.sure = "1";
  say(button, "Revoke for good");
  setTimeout(() => calm(button), ASKS_MS);
};

const calm = (button) => {
  if (!button.dataset.sure) return;
  delete button.dataset.sure;
  say(button, "Revoke");
};

const say = (button, words) => {
  const [, ...name] = button.getAttribute("aria-label").split(": ");
  button.setAttribute("aria-label", [words, ...name].join(": "));
  button.textContent = words;
};

const copy = async (button) => {
  const code = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    // Over plain HTTP there is no clipboard: the text is marked instead, for the keyboard.
    window.getSelection().selectAllChildren(code);
    button.textContent = "Marked: press Ctrl+C";
  }
};

// Gradio patches the old rows into the new ones: a question would stay with the place, not the token.
watch("value", () => {
  for (const button of element.querySelectorAll("button[data-sure]")) calm(button);
  for (const button of element.querySelectorAll("button[data-copy]")) button.textContent = "Copy";
});
