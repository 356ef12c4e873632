// Shows every time in the viewer's own zone, with the UTC it was written in on hover: <time class="moment">, and text
// that is nothing but a time such as "2026-03-04 05:06:07 UTC".
"use strict";
(() => {
  const WRITTEN = /^\s*(\d{4}-\d\d-\d\d) (\d\d:\d\d(?::\d\d)?) UTC\s*$/;

  const two = (number) => String(number).padStart(2, "0");

  const local = (at) =>
    `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ` +
    `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;

  const mark = () => {
    const found = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const written = WRITTEN.exec(texts.currentNode.data);
      if (written && !texts.currentNode.parentElement.closest("script, style, textarea, option, pre")) {
        found.push([texts.currentNode, written]);
      }
    }
    for (const [text, [, day, clock]] of found) {
      const time = document.createElement("time");
      time.className = "moment";
      time.dateTime = `${day}T${clock}Z`;
      time.title = `${day} ${clock} UTC`;
      text.replaceWith(time);
    }
  };

  const show = () => {
    mark();
    for (const time of document.querySelectorAll("time.moment:not([data-shown])")) {
      time.textContent = local(new Date(time.dateTime));
      time.dataset.shown = "";
    }
  };

  document.addEventListener("DOMContentLoaded", show);
  document.addEventListener("console:changed", show);
})();
