// The upload of an archive: dropped or chosen, sent to this page's own server, which passes it on while it arrives.
const NAME = /^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$/;
const DOUBLE_CLICK_MS = 600;
const PICKLES = /\.(joblib|pkl|pickle|dill)$/i;
const CONVERT =
  "It is a pickle, which runs code when it is read. Save the model of scikit-learn by skops.io.dump(model, \"model.skops\") " +
  "where it was trained, and make a .mar of that with marina pack.";
const form = document.querySelector("[data-upload]");
const { root } = document.querySelector(".s-top").dataset;
const rounded = (number) => number.toLocaleString("en", { maximumFractionDigits: 1 });
const inWords = (bytes) => (bytes < 100000 ? `${rounded(bytes / 1000)} kB` : `${rounded(bytes / 1e6)} MB`);

if (form) {
  const [drop, file, name, hint, send, cancel, sending, failed] = [
    ".o-drop", "input[type=file]", "[name=experiment]", "[data-hint]", "[type=submit]", "[data-cancel]", ".o-sending", "[data-failed]",
  ].map((selector) => form.querySelector(selector));
  const most = Number(form.dataset.most);
  const known = new Map([...form.querySelectorAll("option")].map((one) => [one.value, Number(one.dataset.latest)]));
  let archive = null;
  let request = null;
  let begun = 0;

  const say = (text) => {
    failed.textContent = text;
    failed.hidden = !text;
  };
  const show = () => {
    const wanted = name.value.trim();
    const good = NAME.test(wanted);
    if (!wanted) hint.textContent = "";
    else if (known.has(wanted)) hint.textContent = `The archive becomes version ${known.get(wanted) + 1} of ${wanted}.`;
    else if (good) hint.textContent = `${wanted} is made if it is new.`;
    else hint.textContent = "A name has lower-case letters, digits and hyphens, and begins with a letter; at most 40.";
    send.disabled = request !== null || archive === null || !good;
    cancel.hidden = request === null;
    drop.querySelector("b").textContent = archive ? `${archive.name}, ${inWords(archive.size)}` : "Drop a .mar here";
  };
  const take = (found) => {
    if (request || !found) return;
    say("");
    archive = null;
    if (!found.name.toLowerCase().endsWith(".mar"))
      say(`${found.name} is no .mar. ${PICKLES.test(found.name) ? CONVERT : "Make one of it first, with marina pack or torch-model-archiver."}`);
    else if (most && found.size > most) say(`${found.name} has ${inWords(found.size)}; an archive may have up to ${inWords(most)}.`);
    else archive = found;
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
      location.href = `${root}/version?experiment=${answer.experiment}&number=${answer.version}`;
      return;
    }
    if (request.status === 401) say("You are no longer logged in. Load the page anew.");
    else say(answer.detail || `The upload failed with status ${request.status}.`);
    done();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (send.disabled) return;
    say("");
    const wanted = name.value.trim();
    const bar = sending.querySelector("progress");
    request = new XMLHttpRequest();
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      bar.value = loaded / total;
      sending.querySelector("span").textContent =
        loaded < total ? `${inWords(loaded)} of ${inWords(total)}` : "Checking the archive…";
    });
    request.addEventListener("load", finished);
    request.addEventListener("abort", done);
    request.addEventListener("error", () => {
      say("The connection broke off. Upload it again.");
      done();
    });
    request.open("POST", `${root}/archives/${wanted}${known.has(wanted) ? "" : "?new=1"}`);
    request.setRequestHeader("content-type", "application/octet-stream");
    bar.value = 0;
    sending.hidden = false;
    request.send(archive);
    begun = performance.now();
    show();
    cancel.focus();
  });
  // The second click of a double click on Upload is no Cancel, wherever the button appears.
  cancel.addEventListener("click", () => performance.now() - begun > DOUBLE_CLICK_MS && request?.abort());
  file.addEventListener("change", () => take(file.files[0]));
  name.addEventListener("input", show);
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
  show();
}
