// The place of the answers: tells the sketchpad which image they are about, and whether they are the last word.
const tell = () => {
  const found = element.querySelector("[data-image]");
  const about = found ? { image: Number(found.dataset.image), again: "again" in found.dataset } : null;
  document.dispatchEvent(new CustomEvent("marina-answered", { detail: about }));
};
watch("value", tell);
