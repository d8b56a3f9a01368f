// What an action came to, in view wherever the page is scrolled to: it can be undone, or put away.
element.addEventListener("click", (event) => {
  if (event.target.closest("[data-undo]")) trigger("submit");
  else if (event.target.closest("[data-close]")) props.value = "";
});
