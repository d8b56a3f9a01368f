// Runs once when the page has loaded: says so when this page's own server is away or no longer knows the visitor, and
// loads anew when another process has taken its place, because the session of the old one is gone with it.
() => {
  const EVERY_MS = 3000;
  const WAIT_MS = 5000;
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
  let instance = null;
  const look = async () => {
    try {
      const answer = await fetch("session", { cache: "no-store", signal: AbortSignal.timeout(WAIT_MS) });
      if (!answer.ok) throw new Error(answer.statusText);
      const now = await answer.json();
      if (instance !== null && instance !== now.instance) window.location.reload();
      instance = now.instance;
      const role = document.querySelector(".s-who > summary .m-chip");
      if (role && now.visitor === "known" && role.textContent !== now.role) role.textContent = now.role;
      // From here on the server rejects each event of this page, and Gradio would show a message for each.
      document.body.classList.toggle("m-logged-out", now.visitor === "unknown");
      if (now.visitor === "unknown") show("login", "You are no longer logged in. ", again);
      else bar.hidden = true;
    } catch {
      show("server", "This page has lost its server. It comes back by itself.");
    }
    setTimeout(look, EVERY_MS);
  };
  look();
}
