// The sketchpad of the Try page, for small grey images: strokes, examples and image files.
const PEN = 30; // of 392: about two pixels when the drawing is fitted to 28 x 28, as in the training data of digits
const BOX = 250; // what the longer side of a drawing becomes, so that its pen fits it however small it was drawn
const DOT = 20; // what is smaller is a dot and stays one
const PALM = 60; // a contact as wide as this is no finger
const UNDO_STEPS = 20;

widgets.sketchpad = (root, host) => {
  const canvas = root.querySelector("canvas");
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const hint = root.querySelector(".m-hint");
  const past = [];
  let image = ""; // the current image, as the models get it
  let strokes = []; // lists of points; null when there is an image under them
  let drawing = null; // the stroke under way: its pointer and points
  const touches = new Set();
  let several = false; // more than one finger is down: nothing is painted until all are lifted

  const blank = (on = pen) => {
    on.fillStyle = "#fff";
    on.fillRect(0, 0, canvas.width, canvas.height);
  };

  const remember = () => {
    past.push({
      pixels: pen.getImageData(0, 0, canvas.width, canvas.height),
      image,
      strokes: strokes && [...strokes],
      number: host.number(),
    });
    if (past.length > UNDO_STEPS) past.shift();
  };

  const recall = (before) => {
    pen.putImageData(before.pixels, 0, 0);
    ({ image, strokes } = before);
    host.become(before.number);
  };

  const changed = (always) => {
    hint.hidden = image !== "";
    host.changed(always);
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
    if (host.live() && !host.wasAsked()) changed(false);
    host.judge();
  };

  // A stroke begins, goes on and ends, whatever draws it.
  const begin = (pointer, type, point) => {
    host.wait();
    remember();
    host.become();
    hint.hidden = true;
    drawing = { pointer, type, points: [point] };
    line(drawing.points);
    host.judge();
  };
  const extend = (point) => {
    drawing.points.push(point);
    line(drawing.points.slice(-2));
  };
  const finish = () => {
    if (strokes !== null) strokes = [...strokes, drawing.points];
    drawing = null;
    image = fitted();
    changed(false);
  };
  const keys = penByKeys(root, canvas, {
    down: (point) => begin("keys", "keys", point),
    move: extend,
    lift: finish,
    takeBack,
    isDown: () => drawing !== null && drawing.pointer === "keys",
    isFree: () => drawing === null,
    predict: host.predict,
  });

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    if (isPalm(event)) return;
    keys.lift();
    if (event.pointerType === "touch") {
      touches.add(event.pointerId);
      if (drawing !== null && drawing.type !== "touch") return;
      several = several || touches.size > 1;
      if (several) return takeBack();
    }
    if (drawing !== null) return;
    canvas.setPointerCapture(event.pointerId);
    begin(event.pointerId, event.pointerType, place(event));
  });

  canvas.addEventListener("pointermove", (event) => {
    if (drawing === null || event.pointerId !== drawing.pointer) return;
    if (isPalm(event)) return takeBack();
    const steps = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const step of steps.length ? steps : [event]) extend(place(step));
  });

  const lifted = (event) => {
    touches.delete(event.pointerId);
    if (touches.size === 0) several = false;
  };

  canvas.addEventListener("pointerup", (event) => {
    lifted(event);
    if (drawing !== null && event.pointerId === drawing.pointer) finish();
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
    host.become();
    const scale = Math.min(canvas.width / shown.width, canvas.height / shown.height);
    const [width, height] = [shown.width * scale, shown.height * scale];
    if (invert) pen.filter = "invert(1)";
    pen.drawImage(shown, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
    pen.filter = "none";
  };

  const take = async (blob) => {
    const found = await bitmapOf(blob, host);
    if (!found) return;
    keys.lift();
    show(found, false);
    const number = host.number();
    const url = await smallUrl(blob, found);
    // Reading takes a moment, in which somebody may have drawn something else.
    if (host.number() !== number) return;
    image = url;
    changed(true);
  };

  const upload = onFiles(root, root.querySelector(".m-paper"), take);

  const actions = {
    upload,
    clear: () => {
      keys.lift();
      remember();
      blank();
      [image, strokes] = ["", []];
      host.become();
      changed(true);
    },
    undo: () => {
      keys.lift();
      const before = past.pop();
      if (!before) return;
      recall(before);
      changed(false);
    },
  };

  root.addEventListener("click", (event) => {
    const example = event.target.closest("[data-example]");
    if (!example) return;
    const found = example.querySelector("img");
    keys.lift();
    show(found, true);
    image = found.src;
    changed(true);
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.key !== "z" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    actions.undo();
  });

  blank();
  return {
    fields: () => ({ image }),
    empty: () => image === "",
    busy: () => drawing !== null,
    picture: () => image,
    missing: root.dataset.missing,
    actions,
  };
};
