// Keeps the figures of the first page up to date: asks `data-figures` for them, and writes each where `data-figure`
// names it, with its note and the addresses of the rows behind it. A hidden tab does not ask.
"use strict";
(() => {
  const EVERY_MS = 5000;
  const LOOK = "text-primary-600 dark:text-primary-500"; // as in figures.html

  const linked = ([text, url]) => {
    if (!url) return text;
    const link = document.createElement("a");
    link.className = LOOK;
    link.href = url;
    link.textContent = text;
    return link;
  };

  const note = (place, parts) => {
    const text = parts.map(([said]) => said).join(", ");
    if (place.textContent !== text) {
      place.replaceChildren(...parts.flatMap((part, number) => (number ? [", ", linked(part)] : [linked(part)])));
    } else {
      // nobody's focus on a link is taken away
      const urls = parts.map(([, url]) => url).filter(Boolean);
      place.querySelectorAll("a").forEach((link, number) => (link.href = urls[number]));
    }
  };

  const write = (place, figure) => {
    const link = place.parentElement.querySelector("a[data-link]"); // there for who may follow it
    if (place.textContent !== figure.text) place.textContent = figure.text;
    if (link) link.href = figure.url;
    note(place.parentElement.querySelector("[data-note]"), figure.note);
  };

  const renew = async (figures) => {
    let goesOn = true;
    try {
      if (!document.hidden) {
        const answer = await fetch(figures.dataset.figures, { credentials: "omit" });
        goesOn = answer.status !== 403;
        if (answer.ok) {
          for (const [name, figure] of Object.entries(await answer.json())) {
            const place = figures.querySelector(`[data-figure="${name}"]`);
            if (place) write(place, figure);
          }
        }
      }
    } catch {
      // the network is away for a moment
    }
    if (goesOn) setTimeout(renew, EVERY_MS, figures);
  };

  document.addEventListener("DOMContentLoaded", () => {
    const figures = document.querySelector("[data-figures]");
    if (figures) setTimeout(renew, EVERY_MS, figures);
  });
})();
