// Jobs that are under way tell how they go, every five seconds; one that has ended shows what came of it. They are
// asked for at the address of `data-under-way`, which says by itself who reads.
(() => {
  const underWay = () => [...document.querySelectorAll("[data-job][data-under-way]")];

  const show = (place, job) => {
    if (!job || !job.is_under_way) {
      window.location.reload();
      return;
    }
    place.querySelector("[data-job-state]").textContent = job.state;
    place.querySelector("progress").value = job.percent;
    place.querySelector("[data-job-percent]").textContent = `${job.percent} %`;
    const row = place.closest("tr");
    const line = row ? row.querySelector(".field-how") : document.querySelector("[data-job-line]");
    if (line && line.textContent !== job.line) line.textContent = job.line;
  };

  const look = async () => {
    const places = underWay();
    if (!places.length || document.hidden) return;
    const ids = places.map((place) => place.dataset.job).join(",");
    try {
      const answer = await fetch(`${places[0].dataset.underWay}?ids=${ids}`, { credentials: "omit" });
      if (answer.status === 403) window.location.reload(); // open for too long: signed in, it gets another address
      if (!answer.ok) return;
      const found = await answer.json();
      places.forEach((place) => show(place, found[place.dataset.job]));
    } catch {
      // the next look is five seconds away
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    if (underWay().length) window.setInterval(look, 5000);
  });
})();
