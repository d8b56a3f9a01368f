// The cards of the deployments: a pressed button is told to Python with the name and, for a change, the version.
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-act]");
  if (!button) return;
  const version = button.parentElement.querySelector("select");
  trigger("submit", {
    act: button.dataset.act,
    name: button.dataset.name,
    version: version ? Number(version.value) : null,
  });
});

// A log is fetched when it is opened. One that is rendered open says so: that it opens is nothing new.
element.addEventListener(
  "toggle",
  (event) => {
    const log = event.target.closest("details[data-log]");
    if (!log || log.open === Boolean(log.dataset.shown)) return;
    trigger("submit", { act: log.open ? "log" : "unlog", name: log.dataset.log, version: null });
  },
  true,
);

// A choice made by hand stays with the card that it was made in: after a change of the list, all start anew.
watch("value", () => {
  for (const select of element.querySelectorAll("select")) {
    const preselected = select.querySelector("option[selected]");
    if (preselected) select.value = preselected.value;
  }
});
