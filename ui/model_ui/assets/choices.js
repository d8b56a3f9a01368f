// Experiments that are picked to be compared: kept in the address, in the order in which they were picked.
const MOST = 100;
const list = () => document.querySelector("[data-choices]");
const picked = () => (new URL(location.href).searchParams.get("pick") || "").split(",").filter(Boolean);

// The same address with these names picked.
const keeping = (href, names) => {
  const address = new URL(href);
  if (names.length) address.searchParams.set("pick", names.join(","));
  else address.searchParams.delete("pick");
  return address.href.replaceAll("%2C", ",");
};

const show = () => {
  const form = list();
  if (!form) return;
  const names = picked();
  const colours = (form.dataset.colours || "").split(" ");
  for (const box of form.querySelectorAll("input[type=checkbox][name=pick]")) {
    const at = names.indexOf(box.value);
    box.checked = at >= 0;
    const swatch = box.parentElement.querySelector(".w-swatch");
    if (swatch) swatch.style.background = at >= 0 ? colours[at % colours.length] : "";
  }
  for (const place of document.querySelectorAll("[data-picked]")) place.textContent = names.length ? ` (${names.length})` : "";
  for (const link of document.querySelectorAll("a[data-keeps-pick], .w-sort, .w-pages a[href]")) link.href = keeping(link.href, names);
  for (const field of document.querySelectorAll("input[type=hidden][name=pick]")) field.value = names.join(",");
};

document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-choices] input[type=checkbox][name=pick]")) return;
  const names = picked().filter((name) => name !== event.target.value);
  if (event.target.checked && names.length < MOST) names.push(event.target.value);
  history.replaceState(null, "", keeping(location.href, names));
  show();
});
document.addEventListener("marina:changed", show);
show();
