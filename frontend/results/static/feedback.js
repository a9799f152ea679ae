// The list of answers, on top of what the server wrote: times of this place, keys, verdicts, choosing, views that are
// kept, and what changes meanwhile.
//
// Guarantees: rows never move by themselves; a verdict shows as given when the server has it, never before; a key that
// is held or struck twice gives one.

import { byId, el, plural, say, time } from "./dom.js";
import { follow } from "./feed.js";
import { keys } from "./keys.js";
import { showState } from "./state.js";
import { giveVerdict } from "./verdict.js";
import { views } from "./views.js";

const LOOK_MS = 3_000; // at most so often, however much comes in
const WAIT_MS = 15_000;
const COUNT_MOST = 100;

const data = JSON.parse(byId("data").textContent);
const list = byId("rows");
const rows = () => [...(list?.children ?? [])];
const rowOf = (id) => rows().find((row) => row.dataset.id === id);

/** Say what happened, with a button that undoes it where something does. */
function tell(text, undoing = null) {
  say(byId("said") ?? byId("fresh"), text);
  if (!list) return;
  byId("problem").replaceChildren();
  byId("undo").replaceChildren(...(undoing ? [undoing] : []));
  byId("said-close").hidden = !text;
}

byId("said-close")?.addEventListener("click", () => {
  const inside = byId("said-close").parentElement.contains(document.activeElement);
  tell("");
  if (inside) (rowOf(current) ?? rows()[0]).focus({ preventScroll: true });
});

// Rows as the server wrote them, so that only what changed is put in its place.
const written = new Map();

function dress(row) {
  for (const each of row.querySelectorAll("time")) say(each, time(each.dateTime));
  const judge = row.querySelector(".answer__judge");
  if (judge) judge.hidden = false;
}

for (const row of rows()) {
  written.set(row.dataset.id, row.innerHTML);
  dress(row);
}

// Places in the list

let current = null; // the row that one stands on, or stood on last
list?.addEventListener("focusin", (event) => {
  current = event.target.closest("li").dataset.id;
});

function move(step) {
  const all = rows();
  const at = all.findIndex((row) => row.dataset.id === current);
  const next = all[at < 0 ? (step > 0 ? 0 : -1) : Math.min(Math.max(at + step, 0), all.length - 1)];
  if (!next) return false;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

const inList = () => list?.contains(document.activeElement);
const here = () => (inList() ? rowOf(current) : null);

// Choosing

const boxes = () => [...(list?.querySelectorAll("input[name=id]") ?? [])];

function showChosen() {
  const all = byId("all");
  if (!all) return;
  const chosen = boxes().filter((box) => box.checked).length;
  all.checked = chosen > 0 && chosen === boxes().length;
  all.indeterminate = chosen > 0 && !all.checked;
  byId("chosen-acts").hidden = chosen === 0;
  say(byId("chosen"), chosen ? `${chosen} selected` : "");
}

if (byId("all")) {
  byId("all-label").hidden = false;
  byId("all").addEventListener("change", (event) => {
    for (const box of boxes()) box.checked = event.target.checked;
    showChosen();
  });
  list.addEventListener("change", showChosen);
  showChosen(); // a browser that comes back remembers
}

function choose() {
  const box = here()?.querySelector("input[name=id]");
  if (!box) return false;
  box.checked = !box.checked;
  showChosen();
}

// Verdicts

const busy = new Set();

function offer(id, needsPerson, text, undoes) {
  const attributes = { class: "button button--quiet button--small", type: "button", "data-undoes": String(undoes) };
  const button = el("button", attributes, text);
  button.addEventListener("click", () => judge(id, needsPerson));
  return button;
}

/** What undoes a verdict, where saying the opposite does: a ticket that is opened stays, and takes a person to want. */
function undo(id, needsPerson, wasSelected) {
  const opposite = needsPerson ? "Undo: a false alarm" : "Undo: it needed a person";
  if (wasSelected) return offer(id, !needsPerson, opposite, true);
  return needsPerson ? null : offer(id, true, "Open a ticket after all", false);
}

function hearsay(needsPerson, wasSelected) {
  if (wasSelected) return needsPerson ? "Noted: it needed a person." : "Noted: a false alarm. The ticket stays as it is.";
  return needsPerson ? "Noted. The ticket is on its way." : "Noted: it needs nobody.";
}

async function judge(id, needsPerson) {
  if (!data.judges || busy.has(id)) return;
  busy.add(id);
  const wasSelected = rowOf(id)?.querySelector(".answer__judge")?.dataset.selected === "true";
  const { answer, problem } = await giveVerdict(id, needsPerson);
  busy.delete(id);
  if (!answer) {
    tell("");
    byId("problem").replaceChildren(problem);
    byId("said-close").hidden = false;
    return;
  }
  const held = byId("undo").contains(document.activeElement);
  tell(hearsay(needsPerson, wasSelected), undo(id, needsPerson, wasSelected));
  if (held) (byId("undo").querySelector("button") ?? rowOf(id)).focus({ preventScroll: true });
  await refresh([id]);
}

list?.addEventListener("click", (event) => {
  const act = event.target.closest("[data-act]")?.dataset.act;
  if (act === "yes" || act === "no") judge(event.target.closest("li").dataset.id, act === "yes");
});

function judgeHere(needsPerson) {
  const row = here();
  if (!row || !data.judges) return false;
  judge(row.dataset.id, needsPerson);
}

keys({
  j: () => move(1),
  k: () => move(-1),
  arrowdown: () => inList() && move(1),
  arrowup: () => inList() && move(-1),
  enter: () => {
    if (!here() || document.activeElement !== here()) return false; // a link or a button does its own
    here().querySelector("[data-act=open]").click();
  },
  y: () => judgeHere(true),
  n: () => judgeHere(false),
  x: choose,
  u: () => {
    const button = byId("undo")?.querySelector("[data-undoes=true]");
    if (!button) return false;
    button.click();
  },
});

// What changes meanwhile

/** Put a row's new state in its place; what one reads, has chosen or stands on stays. */
function replace(row, fresh) {
  const words = row.querySelector(".words");
  if (words && fresh.querySelector(".words")) fresh.querySelector(".words").replaceWith(words.cloneNode(true));
  // Its way back leads to this view, not to the one that it was asked for in.
  fresh.querySelector("[data-act=open]").setAttribute("href", row.querySelector("[data-act=open]").getAttribute("href"));
  const box = row.querySelector("input[name=id]");
  if (box) fresh.querySelector("input[name=id]").checked = box.checked;
  const active = document.activeElement;
  const part = active?.dataset.act ? `[data-act=${active.dataset.act}]` : active === box ? "input[name=id]" : null;
  const held = row.contains(active) && active !== row;
  row.replaceChildren(...fresh.childNodes);
  dress(row);
  if (held) (part ? row.querySelector(part) : row)?.focus({ preventScroll: true });
}

/** Take these rows from the server again, as it writes them now. */
async function refresh(ids) {
  if (!ids.length) return;
  const asked = new URLSearchParams([["survey", data.survey], ...ids.map((id) => ["id", id])]);
  const answered = await fetch(`/feedback?${asked}`, { signal: AbortSignal.timeout(WAIT_MS) }).catch(() => null);
  if (!answered?.ok || answered.redirected) return; // the connection's state is told elsewhere
  const page = new DOMParser().parseFromString(await answered.text(), "text/html");
  for (const fresh of page.querySelectorAll("#rows > li")) {
    const row = rowOf(fresh.dataset.id);
    // Apart from what belongs to the view that it was asked for in.
    const text = plain(fresh.innerHTML);
    if (!row || text === plain(written.get(fresh.dataset.id))) continue;
    written.set(fresh.dataset.id, fresh.innerHTML);
    replace(row, fresh);
  }
}

const plain = (html) => html.replace(/\?view=[^"]*"/, '"').replace(/<\/?mark[^>]*>/g, "");

async function countFresh() {
  if (data.newer === null) return;
  const asked = new URLSearchParams(data.newer);
  if (data.newest) asked.set("after", data.newest);
  asked.set("limit", COUNT_MOST);
  const answered = await fetch(`/api/v1/feedback?${asked}`, { signal: AbortSignal.timeout(WAIT_MS) }).catch(() => null);
  if (!answered?.ok) return;
  const { items, next, previous } = await answered.json();
  const more = (data.newest ? previous : next) ? "+" : "";
  const text = items.length ? `${plural(items.length, "new answer", "new answers").replace(" ", `${more} `)}: show` : "";
  const fresh = byId("fresh");
  if (fresh.textContent !== text) fresh.replaceChildren(...(text ? [el("a", { href: location.href }, text)] : []));
}

let due = false;
let looking = false;

async function look() {
  due = true;
  if (looking || document.hidden) return;
  looking = true;
  while (due && !document.hidden) {
    due = false;
    await Promise.all([refresh(rows().map((row) => row.dataset.id)), countFresh()]);
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
  looking = false;
}

document.addEventListener("visibilitychange", () => due && look());
follow(data.survey, { results: look, state: showState });
addEventListener("offline", () => showState("connecting")); // sooner than the connection notices

// The form's days are those of this place, unless the view says otherwise.
if (!new URLSearchParams(location.search).has("tz")) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  byId("tz").value = zone;
  say(byId("zone"), zone);
}

views(tell);
