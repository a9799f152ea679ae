// The receipt follows by itself: it asks again, often at first and seldom later, and never while nobody looks.

import { localise } from "./page.js";

const SOON_SECONDS = 2;
const LATER_SECONDS = 15;
const SELDOM_SECONDS = 60;
const SOON_TIMES = 60;

let asked = 0;
let timer = 0;
lines("live");
next();
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") look();
});
addEventListener("online", look);

function next() {
  clearTimeout(timer);
  const settled = document.getElementById("progress").dataset.settled === "yes";
  const pause = settled ? SELDOM_SECONDS : asked < SOON_TIMES ? SOON_SECONDS : LATER_SECONDS;
  timer = setTimeout(look, pause * 1000);
}

async function look() {
  clearTimeout(timer);
  if (document.visibilityState !== "visible") return;
  asked += 1;
  try {
    const answer = await fetch(location.href, { signal: AbortSignal.timeout(10_000) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const [now, then] = [document.getElementById("progress"), page.getElementById("progress")];
    localise(then);
    lines("live");
    if (now.innerHTML !== then.innerHTML) {
      now.replaceWith(document.adoptNode(then));
      const done = then.querySelectorAll(".step--done .step__title");
      document.getElementById("news").textContent = done[done.length - 1].textContent; // the news alone is announced
    }
  } catch {
    lines("lost");
  }
  next();
}

/** Show one of the lines below the steps. */
function lines(which) {
  for (const name of ["live", "lost"]) document.querySelector(`[data-${name}]`).hidden = name !== which;
}
