// The sketchpad of the Try page. Gradio gives: element, props (props.value is what Python gets), trigger.
// The value is {number, image, asked}: the number of the image, its data URL or "" when the paper is blank, and whether
// it shall be asked about. `makeFreshness` comes from freshness.js, before this.
const PEN = 30; // of 392: about two pixels when the digit is fitted to 28 x 28, as in the training data
const BOX = 250; // what the longer side of a drawing becomes, so that its pen fits it however small it was drawn
const DOT = 20; // what is smaller is a dot and stays one
const PALM = 60; // a contact as wide as this is no finger
const PAUSE_MS = 250; // a digit of several strokes is asked about once, not after each stroke
const LOOK_MS = 1000;
const LONGEST_SIDE = 1024; // the models see 28 x 28: a photo is made small before it travels
const SMALL_BYTES = 400000;
const UNDO_STEPS = 20;

const canvas = element.querySelector("canvas");
const pen = canvas.getContext("2d", { willReadFrequently: true });
const note = element.querySelector(".m-pad-note");
const hint = element.querySelector(".m-hint");
const file = element.querySelector("input[type=file]");
const live = element.querySelector("[data-do=live]");
const freshness = makeFreshness();
const past = [];
let image = ""; // the current image, as the models get it
let strokes = []; // lists of points; null when there is an image under them
let drawing = null; // the stroke under way: its pointer and points
const touches = new Set();
let several = false; // more than one finger is down: nothing is painted until all are lifted
let timer = 0;

const blank = (on = pen) => {
  on.fillStyle = "#fff";
  on.fillRect(0, 0, canvas.width, canvas.height);
};

const remember = () => {
  past.push({
    pixels: pen.getImageData(0, 0, canvas.width, canvas.height),
    image,
    strokes: strokes && [...strokes],
    number: freshness.image,
  });
  if (past.length > UNDO_STEPS) past.shift();
};

const recall = (before) => {
  pen.putImageData(before.pixels, 0, 0);
  ({ image, strokes } = before);
  freshness.become(before.number);
};

// Nobody sees an answer beside an image that it is not about.
const judge = () => {
  const place = document.getElementById("answers");
  if (!place) return;
  if (!freshness.stale()) delete place.dataset.stale;
  else if (image === "" && drawing === null) place.dataset.stale = "";
  else if (freshness.waiting() || live.checked) place.dataset.stale = "Waiting for the answers to this image…";
  else place.dataset.stale = "The image has changed. Press Predict to ask about it.";
};

const ask = () => {
  freshness.ask(Date.now());
  props.value = { number: freshness.image, image, asked: true };
  trigger("input");
  judge();
};

// Tell Python after a pause; `always` is for what someone asked for in so many words.
const changed = (always) => {
  hint.hidden = image !== "";
  note.textContent = "";
  clearTimeout(timer);
  props.value = { number: freshness.image, image, asked: false };
  if (always || live.checked || image === "") timer = setTimeout(ask, always ? 0 : PAUSE_MS);
  judge();
};

const place = (event) => {
  const box = canvas.getBoundingClientRect();
  return {
    x: ((event.clientX - box.left) * canvas.width) / box.width,
    y: ((event.clientY - box.top) * canvas.height) / box.height,
  };
};

const line = (points, on = pen) => {
  on.strokeStyle = on.fillStyle = "#111";
  on.lineWidth = PEN;
  on.lineCap = on.lineJoin = "round";
  on.beginPath();
  on.moveTo(points[0].x, points[0].y);
  for (const point of points) on.lineTo(point.x, point.y);
  on.stroke();
  // A line without length paints nothing, and a tap is a dot.
  on.beginPath();
  on.arc(points[0].x, points[0].y, PEN / 2, 0, 2 * Math.PI);
  on.fill();
};

// The drawing as the models get it: the strokes as large as the training data has them, with the same pen.
const fitted = () => {
  if (strokes === null) return canvas.toDataURL("image/png");
  const points = strokes.flat();
  const [left, top] = [Math.min(...points.map((at) => at.x)), Math.min(...points.map((at) => at.y))];
  const [width, height] = [Math.max(...points.map((at) => at.x)) - left, Math.max(...points.map((at) => at.y)) - top];
  const scale = Math.max(width, height) < DOT ? 1 : BOX / Math.max(width, height);
  const paper = document.createElement("canvas");
  [paper.width, paper.height] = [canvas.width, canvas.height];
  const on = paper.getContext("2d");
  blank(on);
  const moved = (at) => ({
    x: paper.width / 2 + (at.x - left - width / 2) * scale,
    y: paper.height / 2 + (at.y - top - height / 2) * scale,
  });
  for (const stroke of strokes) line(stroke.map(moved), on);
  return paper.toDataURL("image/png");
};

const isPalm = (event) => event.pointerType === "touch" && Math.max(event.width, event.height) > PALM;

// The stroke under way was none: the paper is as before it.
const takeBack = () => {
  if (drawing === null) return;
  drawing = null;
  recall(past.pop());
  hint.hidden = image !== "";
  // Its question may have been put off by the stroke.
  if (live.checked && !freshness.wasAsked()) changed(false);
  judge();
};

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  if (isPalm(event)) return;
  if (event.pointerType === "touch") {
    touches.add(event.pointerId);
    if (drawing !== null && drawing.type !== "touch") return;
    several = several || touches.size > 1;
    if (several) return takeBack();
  }
  if (drawing !== null) return;
  canvas.setPointerCapture(event.pointerId);
  clearTimeout(timer);
  remember();
  freshness.become();
  hint.hidden = true;
  drawing = { pointer: event.pointerId, type: event.pointerType, points: [place(event)] };
  line(drawing.points);
  judge();
});

canvas.addEventListener("pointermove", (event) => {
  if (drawing === null || event.pointerId !== drawing.pointer) return;
  if (isPalm(event)) return takeBack();
  const steps = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  for (const step of steps.length ? steps : [event]) {
    drawing.points.push(place(step));
    line(drawing.points.slice(-2));
  }
});

const lifted = (event) => {
  touches.delete(event.pointerId);
  if (touches.size === 0) several = false;
};

canvas.addEventListener("pointerup", (event) => {
  lifted(event);
  if (drawing === null || event.pointerId !== drawing.pointer) return;
  if (strokes !== null) strokes = [...strokes, drawing.points];
  drawing = null;
  image = fitted();
  changed(false);
});
// The system took the pointer for something else, such as a palm.
canvas.addEventListener("pointercancel", (event) => {
  lifted(event);
  if (drawing !== null && event.pointerId === drawing.pointer) takeBack();
});

// Show an image on the paper; `invert` turns white ink on black into ink on paper.
const show = (shown, invert) => {
  remember();
  blank();
  strokes = null;
  freshness.become();
  const scale = Math.min(canvas.width / shown.width, canvas.height / shown.height);
  const [width, height] = [shown.width * scale, shown.height * scale];
  if (invert) pen.filter = "invert(1)";
  pen.drawImage(shown, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
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
  let found;
  try {
    found = await createImageBitmap(blob);
  } catch {
    note.textContent = "This file is not an image that can be read. Take a PNG or JPEG.";
    return;
  }
  show(found, false);
  const number = freshness.image;
  const use = (url) => {
    // Reading takes a moment, in which somebody may have drawn something else.
    if (freshness.image !== number) return;
    image = url;
    changed(true);
  };
  const known = blob.type === "image/png" || blob.type === "image/jpeg";
  if (known && blob.size <= SMALL_BYTES && Math.max(found.width, found.height) <= LONGEST_SIDE) {
    use(await asUrl(blob));
    return;
  }
  const scale = Math.min(1, LONGEST_SIDE / Math.max(found.width, found.height));
  const small = document.createElement("canvas");
  small.width = Math.max(1, Math.round(found.width * scale));
  small.height = Math.max(1, Math.round(found.height * scale));
  small.getContext("2d").drawImage(found, 0, 0, small.width, small.height);
  use(small.toDataURL("image/png"));
};

const actions = {
  clear: () => {
    remember();
    blank();
    [image, strokes] = ["", []];
    freshness.become();
    changed(true);
  },
  undo: () => {
    const before = past.pop();
    if (!before) return;
    recall(before);
    changed(false);
  },
  upload: () => file.click(),
  predict: () => {
    if (image) changed(true);
    else note.textContent = "Draw something first, upload an image, or take an example.";
  },
};

element.addEventListener("click", (event) => {
  const example = event.target.closest("[data-example]");
  if (example) {
    const found = example.querySelector("img");
    show(found, true);
    image = found.src;
    changed(true);
    return;
  }
  const button = event.target.closest("button[data-do]");
  if (button) actions[button.dataset.do]();
});

live.addEventListener("change", () => {
  if (live.checked && image && !freshness.wasAsked()) changed(false);
  judge();
});

document.addEventListener("marina-answered", ({ detail }) => {
  freshness.answered(detail ? detail.image : null, detail ? detail.again : false, Date.now());
  judge();
});

// What was lost on the way, or answered by an API that was away, is asked again.
setInterval(() => {
  if (!document.hidden && drawing === null && freshness.due(Date.now())) ask();
}, LOOK_MS);

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
