// Drawing by keyboard: arrow keys move a pen over the sketchpad, Space puts it down and lifts it. Every step is said to
// screen readers. The sketchpad gives: down, move, lift, takeBack, isDown, isFree and predict.
const PEN_STEPS = 14; // across the paper; with Shift half of one
const PEN_WAYS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  Home: [-1, -1], PageUp: [1, -1], End: [-1, 1], PageDown: [1, 1],
};

const penByKeys = (root, canvas, pad) => {
  const mark = root.querySelector(".m-pen");
  const said = root.querySelector(".m-pen-said");
  const step = canvas.width / PEN_STEPS;
  let at = { x: canvas.width / 2, y: canvas.height / 2 };

  const show = (what) => {
    mark.hidden = false;
    mark.style.left = `${(100 * at.x) / canvas.width}%`;
    mark.style.top = `${(100 * at.y) / canvas.height}%`;
    mark.classList.toggle("down", pad.isDown());
    said.textContent = `${what}column ${at.x / step} of ${PEN_STEPS}, row ${at.y / step} of ${PEN_STEPS}`;
  };
  const lift = () => {
    mark.hidden = true;
    if (pad.isDown()) pad.lift();
  };
  const within = (value, most) => Math.min(Math.max(value, step / 2), most - step / 2);

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const way = PEN_WAYS[event.key];
    if (way) {
      const far = event.shiftKey ? step / 2 : step;
      const next = { x: within(at.x + way[0] * far, canvas.width), y: within(at.y + way[1] * far, canvas.height) };
      const moves = next.x !== at.x || next.y !== at.y;
      at = next;
      if (moves && pad.isDown()) pad.move(at);
      show(moves ? (pad.isDown() ? "Draws to " : "") : "Edge, ");
    } else if (event.key === " " && !event.repeat) {
      if (pad.isDown()) {
        pad.lift();
        show("Pen lifted, ");
      } else if (pad.isFree()) {
        pad.down(at);
        show("Pen down, ");
      }
    } else if (event.key === "Escape" && pad.isDown()) {
      pad.takeBack();
      show("Stroke taken back, ");
    } else if (event.key === "Enter") {
      if (pad.isDown()) pad.lift();
      pad.predict();
    } else return;
    event.preventDefault();
  });
  canvas.addEventListener("blur", lift);
  return { lift };
};
