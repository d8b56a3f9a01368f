// Keeps an open page fresh: asks for its content by its tag, and changes only what has changed. Nothing is asked while
// nobody sees the page. Elements with `data-key` keep their place by it; what somebody touches stays as it is.
const main = document.getElementById("content");
const WAIT_MS = 10000;
let tag = main.dataset.tag;
let last = Date.now();
let timer;
let under = null;

const seconds = () => Number(main.dataset.live);
const bar = document.createElement("div");
bar.className = "s-bar";
bar.setAttribute("role", "alert");
const say = (kind, ...words) => {
  if (bar.dataset.kind === kind && bar.isConnected) return;
  bar.dataset.kind = kind;
  bar.replaceChildren(...words);
  document.querySelector(".s-top").after(bar);
};

const touched = new WeakSet();
let sent = null;
for (const kind of ["input", "change"])
  document.addEventListener(kind, (event) => {
    touched.add(event.target);
    if (event.target.form === sent) sent = null;
  }, true);
const controls = "input, select, textarea";
const busy = (element) => {
  // What was just sent is no longer somebody's own.
  if (element.matches(controls)) return touched.has(element) || (element === document.activeElement && element.form !== sent);
  if (element.matches("dialog[open], [contenteditable]:focus")) return true;
  // A form that somebody is filling in stays whole; one around a table only keeps what is ticked.
  return element.matches("form:not([data-choices], [data-rows])") && [...element.querySelectorAll(controls)].some((one) => busy(one));
};

const attributes = (from, to) => {
  for (const { name } of [...from.attributes])
    if (!to.hasAttribute(name) && !(name === "open" && from.matches("details"))) from.removeAttribute(name);
  for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
};

const alike = (one, other) =>
  one.nodeType === other.nodeType && one.nodeName === other.nodeName && one.dataset?.key === other.dataset?.key && (one.id || "") === (other.id || "");

const morph = (from, to) => {
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
    return;
  }
  if (from.isEqualNode(to) || busy(from) || "own" in from.dataset) return;
  // It says the same; only its words are those of this browser's clock.
  if (from.matches("time") && from.dateTime === to.dateTime) return;
  attributes(from, to);
  if (from.matches(controls)) {
    if (from.matches("input[type=checkbox], input[type=radio]")) from.checked = to.hasAttribute("checked");
    else if (from.matches("input") && from.value !== (to.getAttribute("value") ?? "")) from.value = to.getAttribute("value") ?? "";
  }
  children(from, to);
};

const children = (from, to) => {
  const keyed = new Map();
  for (const child of from.children) if (child.dataset.key) keyed.set(child.dataset.key, child);
  let place = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const known = wanted.dataset?.key ? keyed.get(wanted.dataset.key) : null;
    if (known) {
      if (known !== place) from.insertBefore(known, place);
      else place = place.nextSibling;
      morph(known, wanted);
    } else if (place && !place.dataset?.key && alike(place, wanted)) {
      const next = place.nextSibling;
      morph(place, wanted);
      place = next;
    } else from.insertBefore(document.importNode(wanted, true), place);
  }
  while (place) {
    const next = place.nextSibling;
    if (!(place.nodeType === Node.ELEMENT_NODE && busy(place))) place.remove();
    place = next;
  }
};

const show = (text) => {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const content = fresh.getElementById("content");
  if (!content) return;
  document.title = fresh.title;
  main.dataset.live = content.dataset.live;
  const health = fresh.getElementById("health");
  if (health) morph(document.getElementById("health"), health);
  children(main, content);
  document.dispatchEvent(new Event("marina:changed"));
};

// Ask for an address of this page, by default the one that is open; `always` also when nothing can have changed.
const refresh = async (address = location.href, always = false) => {
  if (under) under.abort();
  const mine = (under = new AbortController());
  last = Date.now();
  const headers = { accept: "text/html", "marina-live": always ? "1" : String(seconds()) };
  if (!always && tag) headers["if-none-match"] = tag;
  try {
    const signal = AbortSignal.any([mine.signal, AbortSignal.timeout(WAIT_MS)]);
    const answer = await fetch(address, { headers, signal, cache: "no-store", redirect: "error" });
    if (answer.status === 401) {
      const again = document.createElement("a");
      again.href = location.href;
      again.textContent = "Log in again";
      say("login", "You are no longer logged in. ", again);
      return;
    }
    if (answer.status === 304) {
      await answer.text();
      bar.remove();
      return;
    }
    const text = await answer.text();
    if (answer.status === 503) {
      say("api", "The API is away. What you see is from before; this page comes back by itself.");
      main.dataset.live = main.dataset.live === "0" ? "0" : "3";
      tag = "";
      return;
    }
    bar.remove();
    tag = answer.headers.get("etag");
    show(text);
  } catch (error) {
    if (mine.signal.aborted) return;
    tag = "";
    say("server", "This page has lost its server. It comes back by itself.");
  } finally {
    if (under === mine) under = null;
    plan();
  }
};

const plan = () => {
  clearTimeout(timer);
  if (!seconds() || document.hidden) return;
  timer = setTimeout(() => refresh(), Math.max(0, last + seconds() * 1000 - Date.now()));
};
document.addEventListener("visibilitychange", plan);
addEventListener("pageshow", (event) => {
  if (event.persisted) refresh(location.href, true);
});
plan();

// Forms that only choose what the page shows: the address follows, the page is not loaded anew.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "get" || !("stays" in form.dataset)) return;
  event.preventDefault();
  for (const control of form.elements) touched.delete(control);
  sent = form;
  const data = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value) data.append(name, value);
  const address = new URL(form.action);
  address.search = data;
  history.pushState(null, "", address);
  shown = address.search;
  refresh(address.href, true);
});
// Back and forward; a jump within the page changes nothing.
let shown = location.search;
addEventListener("popstate", () => {
  if (location.search !== shown) location.reload();
});
