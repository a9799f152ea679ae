// The first steps with a new system. Each ticks itself off by what the server knows; what is hidden stays hidden in this
// browser, and a system that is not new any more shows none.

import { byId, say } from "./dom.js";
import { PUSHED } from "./feed.js";

const HIDDEN = "checklist-hidden";
const STEPS = ["answered", "embedded", "ticketed"];
const LEAST_MS = 1_000;
const WAIT_MS = 15_000;

const card = byId("checklist");
let begun = false; // it was shown on this page, so that finishing it is said
let readAt = 0;
let again;

function hidden() {
  try {
    return localStorage.getItem(HIDDEN) !== null;
  } catch {
    return false; // no storage: it can be hidden until the page is left
  }
}

function stop() {
  card.hidden = true;
  clearTimeout(again);
  document.removeEventListener(PUSHED, soon);
}

function show(list) {
  if (!list.new && !begun) {
    stop();
    return;
  }
  if (list.done && !begun) {
    stop();
    return;
  }
  const done = STEPS.filter((step) => list[step]);
  for (const step of STEPS) {
    const item = card.querySelector(`[data-step="${step}"]`);
    item.toggleAttribute("data-done", list[step]);
    item.querySelector(".checklist__done").hidden = !list[step];
  }
  byId("checklist-form").href = list.form;
  byId("checklist-test").href = list.test;
  byId("checklist-demo").href = list.demo;
  say(byId("checklist-snippet"), list.snippet);
  say(byId("checklist-count"), `${done.length} of ${STEPS.length}`);
  if (list.done) {
    say(byId("checklist-said"), "All done. Heed listens from here on; these steps are gone when you come back.");
    document.removeEventListener(PUSHED, soon);
  }
  begun = true;
  card.hidden = false;
}

async function read() {
  if (document.hidden || !card.isConnected) return;
  readAt = Date.now();
  const address = `/api/v1/checklist?survey=${card.dataset.survey}`;
  const answered = await fetch(address, { signal: AbortSignal.timeout(WAIT_MS) }).catch(() => null);
  if (answered?.ok && !hidden()) show(await answered.json());
}

/** Read soon, and not more often than once a second, however often there is news. */
function soon() {
  clearTimeout(again);
  again = setTimeout(read, Math.max(readAt + LEAST_MS - Date.now(), 0));
}

byId("checklist-dismiss").addEventListener("click", () => {
  try {
    localStorage.setItem(HIDDEN, "1");
  } catch {
    // until the page is left, then
  }
  stop();
  byId("main").focus();
});

byId("checklist-copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(byId("checklist-snippet").textContent);
    say(byId("checklist-said"), "The line is copied.");
  } catch {
    getSelection().selectAllChildren(byId("checklist-snippet"));
    say(byId("checklist-said"), "The browser does not let it be copied. It is selected: copy it with Ctrl+C.");
  }
});

if (!hidden()) {
  document.addEventListener(PUSHED, soon);
  document.addEventListener("visibilitychange", () => document.hidden || hidden() || soon());
  read();
}
