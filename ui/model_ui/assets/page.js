// Runs once when the page has loaded: says so when this page's own server is away, and loads anew when another
// process has taken its place, because the session of the old one is gone with it.
() => {
  const EVERY_MS = 3000;
  const WAIT_MS = 5000;
  const bar = document.createElement("div");
  bar.className = "m-banner m-offline";
  bar.setAttribute("role", "alert");
  bar.textContent = "This page has lost its server. It comes back by itself.";
  bar.hidden = true;
  document.body.prepend(bar);
  let instance = null;
  const look = async () => {
    try {
      const answer = await fetch("livez", { cache: "no-store", signal: AbortSignal.timeout(WAIT_MS) });
      if (!answer.ok) throw new Error(answer.statusText);
      const now = (await answer.json()).instance;
      if (instance !== null && instance !== now) window.location.reload();
      instance = now;
      bar.hidden = true;
    } catch {
      bar.hidden = false;
    }
    setTimeout(look, EVERY_MS);
  };
  look();
}
