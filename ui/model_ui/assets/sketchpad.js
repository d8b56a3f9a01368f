// The sketchpad of the Try page. Gradio gives: element, props (props.value is what Python gets), trigger.
// The value is the image as a data URL, or "" when the paper is blank.
const PEN = 30; // of 392: about two pixels when the digit is fitted to 28 x 28, as in the training data
const PAUSE_MS = 250; // a digit of several strokes is asked about once, not after each stroke
const LONGEST_SIDE = 1024; // the models see 28 x 28: a photo is made small before it travels
const SMALL_BYTES = 400000;
const UNDO_STEPS = 20;

const canvas = element.querySelector("canvas");
const pen = canvas.getContext("2d", { willReadFrequently: true });
const note = element.querySelector(".m-pad-note");
const hint = element.querySelector(".m-hint");
const file = element.querySelector("input[type=file]");
const live = element.querySelector("[data-do=live]");
const past = [];
let last = null;
let timer = 0;

const blank = () => {
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
};

const remember = () => {
  past.push({ pixels: pen.getImageData(0, 0, canvas.width, canvas.height), value: props.value || "" });
  if (past.length > UNDO_STEPS) past.shift();
};

// Tell Python after a pause; `always` is for what someone asked for in so many words.
const changed = (value, always) => {
  props.value = value;
  hint.hidden = value !== "";
  note.textContent = "";
  clearTimeout(timer);
  if (always || live.checked || value === "") timer = setTimeout(() => trigger("input"), always ? 0 : PAUSE_MS);
};

const place = (event) => {
  const box = canvas.getBoundingClientRect();
  return {
    x: ((event.clientX - box.left) * canvas.width) / box.width,
    y: ((event.clientY - box.top) * canvas.height) / box.height,
  };
};

const line = (from, to) => {
  pen.strokeStyle = pen.fillStyle = "#111";
  pen.lineWidth = PEN;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  pen.moveTo(from.x, from.y);
  pen.lineTo(to.x, to.y);
  pen.stroke();
};

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  clearTimeout(timer);
  remember();
  hint.hidden = true;
  last = place(event);
  line(last, last);
});

canvas.addEventListener("pointermove", (event) => {
  if (last === null) return;
  const steps = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  for (const step of steps.length ? steps : [event]) {
    const next = place(step);
    line(last, next);
    last = next;
  }
});

const lift = () => {
  if (last === null) return;
  last = null;
  changed(canvas.toDataURL("image/png"), false);
};
canvas.addEventListener("pointerup", lift);
canvas.addEventListener("pointercancel", lift);

// Show an image on the paper; `invert` turns white ink on black into ink on paper.
const show = (image, invert) => {
  remember();
  blank();
  const scale = Math.min(canvas.width / image.width, canvas.height / image.height);
  const [width, height] = [image.width * scale, image.height * scale];
  if (invert) pen.filter = "invert(1)";
  pen.drawImage(image, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
  pen.filter = "none";
};

const asUrl = (blob) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });

const take = async (blob) => {
  let image;
  try {
    image = await createImageBitmap(blob);
  } catch {
    note.textContent = "This file is not an image that can be read. Take a PNG or JPEG.";
    return;
  }
  show(image, false);
  const known = blob.type === "image/png" || blob.type === "image/jpeg";
  if (known && blob.size <= SMALL_BYTES && Math.max(image.width, image.height) <= LONGEST_SIDE) {
    changed(await asUrl(blob), true);
    return;
  }
  const scale = Math.min(1, LONGEST_SIDE / Math.max(image.width, image.height));
  const small = document.createElement("canvas");
  small.width = Math.max(1, Math.round(image.width * scale));
  small.height = Math.max(1, Math.round(image.height * scale));
  small.getContext("2d").drawImage(image, 0, 0, small.width, small.height);
  changed(small.toDataURL("image/png"), true);
};

const actions = {
  clear: () => {
    remember();
    blank();
    changed("", true);
  },
  undo: () => {
    const before = past.pop();
    if (!before) return;
    pen.putImageData(before.pixels, 0, 0);
    changed(before.value, false);
  },
  upload: () => file.click(),
  predict: () => {
    if (props.value) changed(props.value, true);
    else note.textContent = "Draw something first, upload an image, or take an example.";
  },
};

element.addEventListener("click", async (event) => {
  const example = event.target.closest("[data-example]");
  if (example) {
    const image = example.querySelector("img");
    show(image, true);
    changed(image.src, true);
    return;
  }
  const button = event.target.closest("button[data-do]");
  if (button) actions[button.dataset.do]();
});

file.addEventListener("change", async () => {
  if (file.files.length) await take(file.files[0]);
  file.value = "";
});

const paper = element.querySelector(".m-paper");
paper.addEventListener("dragover", (event) => event.preventDefault());
paper.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
});
canvas.addEventListener("paste", (event) => {
  const found = [...event.clipboardData.files];
  if (found.length) take(found[0]);
});

blank();
