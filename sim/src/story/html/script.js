"use strict";
(() => {
  const root = document.documentElement;
  const about = document.getElementById("about");
  const items = [...document.querySelectorAll(".item")]
    .sort((one, other) => Number(one.dataset.at) - Number(other.dataset.at));
  let zoom = 1;
  const zoomed = (factor) => {
    zoom = Math.min(8, Math.max(0.25, zoom * factor));
    root.style.setProperty("--zoom", String(zoom));
    document.activeElement?.scrollIntoView?.({ block: "nearest", inline: "nearest" });
  };
  const tell = (item) => { about.textContent = item.getAttribute("aria-label"); };
  // What is narrower than the page is drawn wider.
  const chart = document.querySelector(".chart");
  const wide = Number(getComputedStyle(chart).getPropertyValue("--wide"));
  zoomed(Math.min(3, Math.max(1, (chart.clientWidth - 190) / wide)));
  const broken = items.find((item) => item.classList.contains("violation"));
  if (broken) tell(broken);
  document.getElementById("closer").addEventListener("click", () => zoomed(1.5));
  document.getElementById("farther").addEventListener("click", () => zoomed(1 / 1.5));
  for (const item of items) {
    for (const happens of ["pointerenter", "focus", "click"]) {
      item.addEventListener(happens, () => tell(item));
    }
  }
  document.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const here = items.indexOf(document.activeElement);
    if (step !== undefined && here >= 0) {
      items[Math.min(items.length - 1, Math.max(0, here + step))].focus();
      event.preventDefault();
    } else if (event.key === "+") {
      zoomed(1.5);
    } else if (event.key === "-") {
      zoomed(1 / 1.5);
    }
  });
})();
