// The key / leads to the search box, unless something is being typed, or the page is a list with a search of its own.
"use strict";
document.addEventListener("keydown", (event) => {
  const box = document.getElementById("console-search");
  const isOfTheList = document.getElementById("searchbar") !== null;
  const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
  if (box && event.key === "/" && !isTyping && !isOfTheList && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    box.focus();
    box.select();
  }
});
