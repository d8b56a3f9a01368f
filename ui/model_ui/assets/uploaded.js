// What became of an archive: its buttons are told to Python, with the name that a new deployment gets.
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-act]");
  if (!button) return;
  if (button.dataset.act === "try") document.dispatchEvent(new CustomEvent("marina-try", { detail: button.dataset.task }));
  const name = element.querySelector("[name=deployment]");
  trigger("submit", { ...button.dataset, called: name ? name.value.trim() : "" });
});
