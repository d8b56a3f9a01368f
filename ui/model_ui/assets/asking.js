// What the models are asked about: one input for each task, of which one is chosen. Gradio gives: element, props, trigger.
// props.tasks says what there is: {key, title, about, html}. props.value is what Python gets: {number, task, fields,
// asked}, the number of the input, what is in it (nothing when it is untouched), and whether it shall be asked about. Fields
// are pairs: Gradio would take an object with a column `path` for a file.
// An input keeps all that somebody put into it, whatever else changes. Widgets come from the scripts before this one.
const PAUSE_MS = 250; // a digit of several strokes, or a word, is asked about once
const LOOK_MS = 1000;

const list = element.querySelector(".m-task-list");
const about = element.querySelector(".m-task-about");
const place = element.querySelector(".m-input");
const note = element.querySelector(".m-pad-note");
const live = element.querySelector("[data-do=live]");
const freshness = makeFreshness();
const inputs = new Map(); // task -> {root, widget, number}
let task = null;
let awaited = new URLSearchParams(location.search).get("task"); // opened as soon as it is offered, unless another is used
let timer = 0;

const current = () => inputs.get(task);
const say = (text) => (note.textContent = text);

// Nobody sees an answer beside an input that it is not about.
const judge = () => {
  const answers = document.getElementById("answers");
  const input = current();
  if (!answers || !input) return;
  const { widget } = input;
  const picture = widget.picture ? `url("${widget.picture()}")` : "none";
  if (freshness.waiting()) answers.style.setProperty("--m-asked", picture);
  if (!freshness.stale()) delete answers.dataset.stale;
  else if ((widget.empty() && !widget.busy?.()) || input.number === null) answers.dataset.stale = "";
  else if (freshness.waiting() || live.checked) answers.dataset.stale = "Waiting for the answers…";
  else answers.dataset.stale = "The input has changed. Press Predict to ask about it.";
};

const tell = (asked) => {
  const { widget, number } = current();
  props.value = { number: freshness.current, task, fields: number === null ? [] : Object.entries(widget.fields()), asked };
};

const ask = () => {
  clearTimeout(timer);
  freshness.ask(Date.now());
  tell(true);
  trigger("input");
  judge();
};

const hostOf = (key) => ({
  say,
  judge,
  isOpen: () => key === task,
  number: () => (key === task ? freshness.current : inputs.get(key).number),
  live: () => live.checked,
  wasAsked: freshness.wasAsked,
  // Another input from now on: a new one, or one of before.
  become: (number) => {
    awaited = null;
    return (inputs.get(key).number = freshness.become(number));
  },
  wait: () => clearTimeout(timer),
  // Tell Python after a pause; `always` is for what someone asked for in so many words.
  changed: (always) => {
    // A file may have been read for an input that is no longer open.
    if (key !== task) return;
    say("");
    clearTimeout(timer);
    tell(false);
    if (always || live.checked || current().widget.empty()) timer = setTimeout(ask, always ? 0 : PAUSE_MS);
    judge();
  },
  predict: () => actions.predict(),
});

const actions = {
  predict: () => {
    const input = current();
    if (input.widget.empty()) return say(input.widget.missing);
    if (input.number === null) input.number = freshness.become();
    ask();
  },
};

const made = (key, html) => {
  const root = document.createElement("div");
  root.innerHTML = html;
  const input = { root: root.firstElementChild, html, number: null };
  inputs.set(key, input);
  input.widget = widgets[input.root.dataset.widget](input.root, hostOf(key));
  return input;
};

// Bring a task's input up, as somebody left it.
const open = (key) => {
  if (key === task) return;
  clearTimeout(timer);
  task = key;
  const input = current();
  place.replaceChildren(input.root);
  say("");
  document.documentElement.dataset.task = key;
  document.dispatchEvent(new CustomEvent("marina-task"));
  freshness.become(input.number ?? undefined);
  // An input that is empty is asked about as well: the answer is what can be done with it.
  if (input.number === null || input.widget.empty() || live.checked) ask();
  else judge();
};

const choose = (key) => {
  awaited = null;
  const address = new URL(location.href);
  address.searchParams.set("task", key);
  history.replaceState(history.state, "", address);
  open(key);
  show();
};

const radio = (key) => {
  const label = document.createElement("label");
  const button = document.createElement("input");
  [button.type, button.name, button.value] = ["radio", "m-task", key];
  label.append(button, document.createElement("span"));
  label.dataset.key = key;
  return label;
};

const show = () => {
  const tasks = props.tasks || [];
  for (const { key, html } of tasks) {
    const input = inputs.get(key);
    // What nobody has touched may become what it is now.
    if (!input || (input.html !== html && input.number === null && key !== task)) made(key, html);
  }
  const offered = new Map(tasks.map((one) => [one.key, one]));
  const labels = new Map([...list.children].map((label) => [label.dataset.key, label]));
  // A task whose last deployment has gone stays while it is open.
  const keys = [...offered.keys(), ...(task !== null && !offered.has(task) ? [task] : [])];
  const wanted = keys.map((key) => {
    const label = labels.get(key) || radio(key);
    const known = offered.get(key) || { title: label.textContent, about: "no deployment takes this now" };
    if (label.lastChild.textContent !== known.title) label.lastChild.textContent = known.title;
    label.title = known.about;
    return label;
  });
  if (wanted.length !== list.children.length || wanted.some((label, at) => list.children[at] !== label))
    list.replaceChildren(...wanted);
  list.parentElement.hidden = wanted.length < 2;
  live.parentElement.hidden = wanted.length === 0;
  if (offered.has(awaited)) {
    open(awaited);
    awaited = null;
  } else if (task === null && tasks.length) open(tasks[0].key);
  for (const label of wanted) {
    label.firstChild.checked = label.dataset.key === task;
    if (label.firstChild.checked) about.textContent = label.title;
  }
};

list.addEventListener("change", (event) => choose(event.target.value));
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (!button) return;
  (current().widget.actions[button.dataset.do] || actions[button.dataset.do])();
});
live.addEventListener("change", () => {
  const input = current();
  if (live.checked && input.number !== null && !input.widget.empty() && !freshness.wasAsked()) ask();
  judge();
});

document.addEventListener("marina-answered", ({ detail }) => {
  freshness.answered(detail ? detail.input : null, detail ? detail.again : false, Date.now());
  judge();
});

// What was lost on the way, or answered by an API that was away, is asked again.
setInterval(() => {
  if (task !== null && !document.hidden && !current().widget.busy?.() && freshness.due(Date.now())) ask();
}, LOOK_MS);

watch("tasks", show);
show();
