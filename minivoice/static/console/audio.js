// Says beside a player that its audio is not to be had, which it does not say itself, and lets it be tried again.
"use strict";
(() => {
  const sentence = (player) => player.parentElement.querySelector("[data-unheard]");

  // These events do not bubble, and pages bring players later.
  document.addEventListener(
    "error",
    ({ target }) => {
      if (!(target instanceof HTMLAudioElement)) return;
      sentence(target).hidden = false;
      const fresh = target.cloneNode(); // which can be played, and fetches nothing before that
      const hadFocus = document.activeElement === target;
      target.replaceWith(fresh);
      if (hadFocus) fresh.focus();
    },
    true,
  );
  document.addEventListener("playing", ({ target }) => (sentence(target).hidden = true), true);
})();
