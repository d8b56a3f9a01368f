// Runs once when the page has loaded: has Gradio refresh what it shows when something has changed, says so when this
// page's own server is away or no longer knows the visitor, and loads anew when another build of the UI has taken its
// place. Nothing is asked while nobody sees the page.
() => {
  const WAIT_MS = 10000;
  const AWAY_SECONDS = 3;
  const SOON_MS = 300;
  const bar = document.createElement("div");
  bar.className = "m-banner m-offline";
  bar.setAttribute("role", "alert");
  bar.hidden = true;
  document.body.prepend(bar);
  const again = document.createElement("a");
  again.href = "./";
  again.textContent = "Log in again";
  const show = (kind, ...content) => {
    // Replacing the same again would take the focus from the link.
    if (bar.hidden || bar.dataset.kind !== kind) bar.replaceChildren(...content);
    bar.dataset.kind = kind;
    bar.hidden = false;
  };
  let known = null;
  let etag = "";
  let seconds = AWAY_SECONDS;
  let last = 0;
  let asking = false;
  let timer;

  const refresh = () => {
    document.body.dataset.changed = "";
    document.dispatchEvent(new Event("marina:refresh"));
  };
  const take = (now) => {
    if (known && known.build !== now.build) window.location.reload();
    const role = document.querySelector(".s-who > summary .m-chip");
    if (role && role.textContent !== now.role) role.textContent = now.role;
    // The first time too: much may have changed since the page was made.
    if (known?.tag !== now.tag) refresh();
    known = now;
    seconds = now.seconds;
  };
  // A refresh that failed while the pulse did not is made up for.
  const recover = () => {
    if (!document.querySelector("#alarm .m-banner")) return;
    seconds = Math.min(seconds, AWAY_SECONDS);
    refresh();
  };
  const look = async () => {
    [last, asking] = [Date.now(), true];
    try {
      const headers = etag ? { "if-none-match": etag } : {};
      const answer = await fetch("pulse", { cache: "no-store", headers, signal: AbortSignal.timeout(WAIT_MS) });
      // From here on the server rejects each event of this page, and Gradio would show a message for each.
      document.body.classList.toggle("m-logged-out", answer.status === 401);
      if (answer.status === 401) {
        show("login", "You are no longer logged in. ", again);
        seconds = AWAY_SECONDS;
      } else if (answer.status === 200) {
        etag = answer.headers.get("etag");
        take(await answer.json());
        bar.hidden = true;
        recover();
      } else if (answer.status === 304) {
        seconds = known.seconds;
        bar.hidden = true;
        recover();
      } else if (answer.status === 503) {
        // Nobody can say any more who this is.
        show("api", "The API is away. This page tries again by itself.");
        [known, etag] = [known && { ...known, tag: "" }, ""];
        seconds = AWAY_SECONDS;
      } else throw new Error(answer.statusText);
    } catch {
      show("server", "This page has lost its server. It comes back by itself.");
      seconds = AWAY_SECONDS;
    }
    asking = false;
    plan();
  };
  const plan = () => {
    clearTimeout(timer);
    if (!document.hidden && !asking) timer = setTimeout(look, Math.max(0, last + seconds * 1000 - Date.now()));
  };
  // Who comes back from the page that deployed something wants to see it at once.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) last = Math.min(last, Date.now() - seconds * 1000 + SOON_MS);
    plan();
  });
  look();
}
