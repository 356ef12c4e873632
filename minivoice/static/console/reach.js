// Brings what the theme offers to the mouse alone within everybody's reach: what opens by a click is a button, pressed by
// Enter and Space, that tells whether it is open; Escape closes it and gives the focus back. What is drawn has a name.
"use strict";
(() => {
  const NATIVE = "a[href], button, input, select, textarea, summary";
  const REACHABLE = "a[href], button, input, select, [tabindex='0']";
  const OPENS = /^(\w+) = (?:!\1|true)$/;
  const CALLED = {
    call: "MiniVoice",
    close: "Close the menu",
    more_horiz: "What can be done",
    search: "Search",
    visibility: "Show the password",
  };
  const PANELS = { sidebarMobileOpen: "#nav-sidebar", filterOpen: "#changelist-filter" };

  const isShown = (place) => place.getClientRects().length > 0;

  const panelOf = (opener, name) => document.querySelector(PANELS[name]) || opener.parentElement.querySelector("nav, ul");

  const goInto = (panel) => {
    const first = panel && [...panel.querySelectorAll(REACHABLE)].find(isShown);
    if (first) first.focus();
  };

  const press = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.currentTarget.click();
  };

  const makeButton = (place) => {
    place.setAttribute("role", "button");
    place.tabIndex = 0;
    place.addEventListener("keydown", press);
  };

  const tellWhetherOpen = (opener, name) => {
    opener.dataset.opens = name;
    Alpine.effect(() => {
      opener.setAttribute("aria-expanded", Boolean(Alpine.$data(opener)[name]));
      opener.dataset.since = performance.now();
    });
    opener.addEventListener("click", (event) => {
      const isKeyboard = event.detail === 0;
      if (isKeyboard && Alpine.$data(opener)[name]) setTimeout(() => goInto(panelOf(opener, name)), 50);
    });
  };

  const closeNewest = () => {
    const opened = [...document.querySelectorAll("[data-opens][aria-expanded=true]")].filter(isShown);
    const open = opened.sort((one, other) => one.dataset.since - other.dataset.since).pop();
    if (!open) return;
    Alpine.$data(open)[open.dataset.opens] = false;
    setTimeout(() => (isShown(open) ? open : document.querySelector("#menu-button")).focus());
  };

  const nameIcons = () => {
    for (const icon of document.querySelectorAll(".material-symbols-outlined:not([role], button)")) {
      icon.setAttribute("aria-hidden", "true");
    }
    for (const place of document.querySelectorAll("a, button, [role=button]")) {
      const icon = place.matches(".material-symbols-outlined") ? place : place.querySelector(".material-symbols-outlined");
      const isAlone = icon && place.innerText.trim() === icon.innerText.trim();
      if (isAlone && !place.ariaLabel && !place.title) place.ariaLabel = CALLED[icon.innerText.trim()] || icon.innerText;
    }
  };

  const nameFields = () => {
    for (const select of document.querySelectorAll("select.select2-hidden-accessible")) {
      const label = select.labels[0] ? select.labels[0].innerText.trim() : select.name;
      for (const part of select.nextElementSibling.querySelectorAll("[role=combobox], [role=textbox]")) {
        part.setAttribute("aria-label", label);
        part.removeAttribute("aria-labelledby");
      }
    }
    for (const help of document.querySelectorAll(".help-tooltip[aria-label]")) help.setAttribute("role", "img");
  };

  document.addEventListener("alpine:initialized", () => {
    for (const place of document.querySelectorAll("[x-on\\:click]")) {
      const [, name] = OPENS.exec(place.getAttribute("x-on:click")) || [];
      const isBackground = place.childElementCount === 0 && !place.innerText.trim() && !place.matches(NATIVE);
      if (!place.matches(NATIVE) && !isBackground) makeButton(place);
      if (name) tellWhetherOpen(place, name);
    }
    nameIcons();
  });
  window.addEventListener("load", () => setTimeout(nameFields));
  document.addEventListener("formset:added", () => setTimeout(nameFields));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") closeNewest();
  });
})();
