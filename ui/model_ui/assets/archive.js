// The upload of an archive: dropped or chosen, sent to this page's own server, which passes it on while it arrives.
// props.offered are the experiments as pairs of name and latest version; props.value becomes {experiment, version}.
const NAME = /^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$/;
const form = element.querySelector("form");
const drop = element.querySelector(".m-drop");
const file = element.querySelector("input[type=file]");
const name = element.querySelector("[name=experiment]");
const hint = element.querySelector(".m-hint-line");
const send = element.querySelector("[type=submit]");
const cancel = element.querySelector("[data-do=cancel]");
const sending = element.querySelector(".m-sending");
const bar = sending.querySelector("progress");
const failed = element.querySelector(".m-note");
const HINT = element.querySelector(".m-drop-size").textContent;
const PICKLES = /\.(joblib|pkl|pickle|dill)$/i;
const CONVERT =
  "It is a pickle, which runs code when it is read. Save the model of scikit-learn by skops.io.dump(model, \"model.skops\") " +
  "where it was trained, and make a .mar of that with marina pack.";
const MAKE = "Make one of it first, with marina pack or torch-model-archiver.";
let archive = null;
let request = null; // the upload under way

const rounded = (number) => number.toLocaleString("en", { maximumFractionDigits: 1 });
const inWords = (bytes) => (bytes < 104858 ? `${rounded(bytes / 1024)} kB` : `${rounded(bytes / 1048576)} MB`);
const latest = () => new Map(props.offered || []);

const say = (text) => {
  failed.textContent = text;
  failed.hidden = !text;
};

const show = () => {
  const wanted = name.value.trim();
  const known = latest();
  const good = NAME.test(wanted);
  if (!wanted) hint.textContent = "";
  else if (known.has(wanted)) hint.textContent = `The archive becomes version ${known.get(wanted) + 1} of ${wanted}.`;
  else if (good) hint.textContent = `${wanted} is a new experiment.`;
  else hint.textContent = "A name has lower-case letters, digits and hyphens, and begins with a letter; at most 40.";
  send.disabled = request !== null || archive === null || !good;
  cancel.hidden = request === null;
  name.disabled = file.disabled = request !== null;
};

const label = () => {
  element.querySelector(".m-drop-name").textContent = archive ? archive.name : "Drop a .mar here";
  element.querySelector(".m-drop-size").textContent = archive ? inWords(archive.size) : HINT;
};

const take = (found) => {
  if (request !== null) return;
  say("");
  archive = null;
  if (!found.name.toLowerCase().endsWith(".mar"))
    say(`${found.name} is no .mar. ${PICKLES.test(found.name) ? CONVERT : MAKE}`);
  else if (found.size > props.most)
    say(`${found.name} has ${inWords(found.size)}; an archive may have up to ${inWords(props.most)}.`);
  else archive = found;
  label();
  if (archive && !name.value) {
    const stem = archive.name.slice(0, -4).toLowerCase().replace(/[^a-z0-9]+/g, "-");
    name.value = stem.replace(/^[^a-z]+/, "").slice(0, 40).replace(/-+$/, "");
  }
  show();
};

const done = () => {
  request = null;
  sending.hidden = true;
  show();
};

const finished = () => {
  let answer = {};
  try {
    answer = JSON.parse(request.responseText);
  } catch {
    // Not one of ours: a proxy's page.
  }
  if (request.status === 201) {
    props.value = { experiment: answer.experiment, version: Number(answer.version) };
    trigger("input");
    archive = null;
    name.value = "";
    label();
  } else if (request.status === 401) say("You are no longer logged in. Load the page anew.");
  else say(answer.detail || `The upload failed with status ${request.status}.`);
  done();
};

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (send.disabled) return;
  say("");
  trigger("clear");
  const wanted = name.value.trim();
  request = new XMLHttpRequest();
  request.upload.addEventListener("progress", ({ loaded, total }) => {
    bar.value = loaded / total;
    const sent = loaded < total ? `${inWords(loaded)} of ${inWords(total)}` : "Checking the archive…";
    sending.querySelector("span").textContent = sent;
  });
  request.addEventListener("load", finished);
  request.addEventListener("error", () => {
    say("The connection broke off. Upload it again.");
    done();
  });
  request.addEventListener("abort", done);
  request.open("POST", `archives/${wanted}${latest().has(wanted) ? "" : "?new=1"}`);
  request.setRequestHeader("content-type", "application/octet-stream");
  bar.value = 0;
  sending.hidden = false;
  request.send(archive);
  show();
  cancel.focus();
});

element.querySelector("[data-do=choose]").addEventListener("click", () => file.click());
cancel.addEventListener("click", () => request.abort());
file.addEventListener("change", () => {
  if (file.files.length) take(file.files[0]);
  file.value = "";
});
name.addEventListener("input", show);
drop.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
});

watch("offered", () => {
  element.querySelector("datalist").replaceChildren(...[...latest().keys()].map((text) => new Option(text, text)));
  show();
});
show();
