// Keeps what is marked `data-live` up to date: asks that address which version there is, and fetches `data-part` anew
// when it is another one than `data-version`. A hidden tab does not ask, and what has ended is not asked for again.
"use strict";
(() => {
  const EVERY_MS = 2500;

  const renew = async (live) => {
    const answer = await fetch(live.dataset.part, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return;
    const opened = [...live.querySelectorAll("audio")].some((audio) => !audio.paused);
    if (opened) return; // nobody's listening is cut: it is looked at again
    const text = await answer.text();
    const held = live.contains(document.activeElement) ? document.activeElement.outerHTML : null;
    live.innerHTML = text;
    // Whoever goes by keyboard stays where they were.
    if (held) [...live.querySelectorAll("*")].find((each) => each.outerHTML === held)?.focus({ preventScroll: true });
    live.dataset.version = answer.headers.get("X-Version");
    document.dispatchEvent(new Event("console:changed"));
  };

  const look = async (live) => {
    let isOver = false;
    try {
      if (!document.hidden) {
        const answer = await fetch(live.dataset.live, { credentials: "omit" });
        isOver = answer.status === 403 || answer.status === 404;
        if (answer.ok) {
          const now = await answer.json();
          if (now.version !== live.dataset.version) await renew(live);
          isOver = now.is_over && now.version === live.dataset.version;
        }
      }
    } catch {
      // the network is away for a moment
    }
    if (!isOver) setTimeout(look, EVERY_MS, live);
  };

  document.addEventListener("DOMContentLoaded", () => {
    for (const live of document.querySelectorAll("[data-live]")) setTimeout(look, EVERY_MS, live);
  });
})();
