// The frame of every page: local times, theme, menus, messages, and the key `/` that goes to anything.
const top_ = document.querySelector(".s-top");
const { root } = top_.dataset;

// Times come in UTC; they are shown as this browser's clock has them, with UTC in the tooltip.
const localize = () => {
  for (const time of document.querySelectorAll(".s-main time[datetime]:not([data-local])")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.dataset.local = "";
    const year = at.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
    time.textContent = at.toLocaleString(undefined, { year, month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "seconds" in time.dataset ? "2-digit" : undefined });
  }
  for (const zone of document.querySelectorAll("[data-zone]"))
    zone.textContent = ` (${Intl.DateTimeFormat().resolvedOptions().timeZone})`;
};
// Days of a filter are those of this browser's clock, the last one included; the address has the instants.
const day = (at) => [at.getFullYear(), at.getMonth() + 1, at.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
const days = () => {
  for (const hint of document.querySelectorAll("[data-utc]")) hint.hidden = true;
  for (const field of document.querySelectorAll("input[data-instant]")) {
    const at = new Date(field.dataset.instant);
    if (!field.dataset.instant.includes("T") || Number.isNaN(at.getTime()) || field === document.activeElement) continue;
    field.value = day(field.name === "until" ? new Date(at.getTime() - 1) : at);
  }
};
// So are times that are typed into a filter without a zone; the address has the zone.
const TYPED = /(created_at\s*(?:[<>!]?=|[<>])\s*)(["'])(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?\2/gi;
const zoned = (whole, before, quote, date, time = "00:00") => {
  const east = -new Date(`${date}T${time}`).getTimezoneOffset();
  if (Number.isNaN(east)) return whole;
  const parts = [Math.floor(Math.abs(east) / 60), Math.abs(east) % 60].map((part) => String(part).padStart(2, "0"));
  return `${before}${quote}${date}T${time}${east < 0 ? "-" : "+"}${parts.join(":")}${quote}`;
};
document.addEventListener("formdata", (event) => {
  const filter = event.target.querySelector("input[type=search][name=filter]");
  if (filter) event.formData.set("filter", filter.value.replace(TYPED, zoned));
  for (const field of event.target.querySelectorAll("input[data-instant]")) {
    const [year, month, date] = field.value.split("-").map(Number);
    const at = new Date(year, month - 1, date + (field.name === "until" ? 1 : 0));
    if (field.value && !Number.isNaN(at.getTime())) event.formData.set(field.name, at.toISOString());
  }
});
const times = () => {
  localize();
  days();
};
document.addEventListener("marina:changed", times);
times();

// Theme: kept in a cookie, so that the server's next page has it from its first line.
const dark = () => document.body.classList;
const applyTheme = (name) => {
  const html = document.documentElement;
  html.classList.remove("s-system", "s-light", "s-dark");
  html.classList.add(`s-${name}`);
  for (const button of document.querySelectorAll("button[name=theme]"))
    button.setAttribute("aria-pressed", String(button.value === name));
  if (!document.querySelector("gradio-app")) return;
  // Gradio follows the system by itself, with a class on the body.
  const system = matchMedia("(prefers-color-scheme: dark)").matches;
  dark().toggle("dark", name === "dark" || (name === "system" && system));
};
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[name=theme]");
  if (!button) return;
  event.preventDefault();
  document.cookie = `marina_theme=${button.value}; Path=${root || "/"}; Max-Age=31536000; SameSite=Strict`;
  top_.dataset.theme = button.value;
  applyTheme(button.value);
});
if (document.querySelector("gradio-app") && top_.dataset.theme !== "system") {
  const keep = () => {
    if (dark().contains("dark") !== (top_.dataset.theme === "dark")) applyTheme(top_.dataset.theme);
  };
  new MutationObserver(keep).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  keep();
}

// Menus and questions close by Escape and by a press elsewhere; only one is open.
const menus = () => document.querySelectorAll("details.s-menu[open], details.w-popover[open]");
document.addEventListener("click", (event) => {
  for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
  if (event.target.closest("[data-close]")) event.target.closest(".s-said, dialog")?.remove();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of menus()) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Go to anything.
const dialog = document.getElementById("go");
if (dialog) {
  const field = dialog.querySelector("input");
  const place = dialog.querySelector("[data-found]");
  let at = -1;
  let asked = 0;
  const links = () => [...place.querySelectorAll("a")];
  const mark = (next) => {
    const all = links();
    at = all.length ? (next + all.length) % all.length : -1;
    all.forEach((link, index) => link.classList.toggle("s-here", index === at));
    all[at]?.scrollIntoView({ block: "nearest" });
  };
  const find = async () => {
    const number = ++asked;
    try {
      const answer = await fetch(`${root}/go?q=${encodeURIComponent(field.value)}`, { headers: { accept: "text/html", "marina-live": "1" } });
      const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("found");
      if (number !== asked || !found) return;
      place.replaceChildren(...found.childNodes);
      mark(0);
    } catch {
      // The next letter asks again.
    }
  };
  const open = () => {
    if (dialog.open) return;
    dialog.showModal();
    field.select();
    find();
  };
  let timer;
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(find, 120);
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      mark(at + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" && links()[at]) {
      event.preventDefault();
      links()[at].click();
    }
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("a[data-go]")) return;
    event.preventDefault();
    open();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || typing) return;
    event.preventDefault();
    open();
  });
}

// A control that sends its form when it changes.
document.addEventListener("change", (event) => {
  if (event.target.closest("[data-sends]")) event.target.form?.requestSubmit();
});

// A text that is to be copied; over plain HTTP there is no clipboard, and it is marked for the keyboard instead.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const code = button.parentElement.querySelector("code, pre");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code);
    button.textContent = "Marked: press Ctrl+C";
  }
});
