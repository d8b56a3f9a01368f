// The cards of the deployments: a pressed button is told to Python with the name and, for a change, the version.
// A version that somebody chose, and a question that somebody has open, stay when the cards change elsewhere.
const chosen = new Map(); // name -> version
const asking = new Map(); // name -> action whose consequence is shown

const keep = () => {
  for (const card of element.querySelectorAll(".m-service")) {
    const { name } = card.dataset;
    const select = card.querySelector("select");
    if (select) {
      const offered = [...select.options].map((option) => option.value);
      if (!offered.includes(chosen.get(name))) chosen.delete(name);
      const preselected = select.querySelector("option[selected]");
      select.value = chosen.get(name) ?? (preselected ? preselected.value : select.value);
    }
    const questions = [...card.querySelectorAll("[data-question]")];
    if (!questions.some((question) => question.dataset.question === asking.get(name))) asking.delete(name);
    for (const question of questions) question.hidden = question.dataset.question !== asking.get(name);
  }
};

element.addEventListener("change", (event) => {
  const card = event.target.closest(".m-service");
  if (card && event.target.matches("select")) chosen.set(card.dataset.name, event.target.value);
});

element.addEventListener("click", (event) => {
  // A log is fetched when it is opened. Told by the press: `toggle` comes later, and never if the card is replaced meanwhile.
  const log = event.target.closest("details[data-log] > summary")?.parentElement;
  if (log) trigger("submit", { act: log.open ? "unlog" : "log", name: log.dataset.log, version: null });
  const button = event.target.closest("button");
  const card = event.target.closest(".m-service");
  if (!button || !card) return;
  const { name } = card.dataset;
  if ("ask" in button.dataset) {
    asking.set(name, button.dataset.ask);
    keep();
    card.querySelector(`[data-question="${button.dataset.ask}"] [data-keep]`).focus();
    return;
  }
  asking.delete(name);
  keep();
  if (!button.dataset.act) return;
  const version = card.querySelector("select");
  trigger("submit", { act: button.dataset.act, name, version: version ? Number(version.value) : null });
  if (button.dataset.act === "change") chosen.delete(name);
});

watch("value", keep);
