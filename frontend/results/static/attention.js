// Keeps the page of what needs a person live, and sends its forms without leaving it.
//
// Guarantees: the page is rendered in one place, the server; what did not change stays as it is, with its focus and what
// was opened in it; a form is sent once however often its button is pressed; nothing counts as done before the server
// says so.

import { byId, el, say, time } from "./dom.js";
import { follow } from "./feed.js";
import { login, showState } from "./state.js";

const EVERY_MS = 10_000; // the books and the quarantine tell nobody when they change
const LEAST_MS = 1_000;
const WAIT_MS = 15_000;
const PROBLEMS = {
  401: "You are logged out, and nothing was done.",
  503: "The database cannot be reached at the moment, and nothing was done. Do it again.",
};

const groups = byId("groups");
const survey = groups.dataset.survey;
const address = `/attention?survey=${survey}`;
const shown = new Map(); // what the server said of each part that has a name of its own, as text
let last = groups.innerHTML;
let sending = false;
let again; // when the page is to be read next
let readAt = 0;

const nameOf = (element) => element.dataset?.item ?? element.dataset?.group;

/** Remember what the server sent, then show times in the visitor's zone. */
function settle(element) {
  for (const part of [element, ...element.querySelectorAll("[data-item], [data-group]")]) {
    if (nameOf(part)) shown.set(nameOf(part), part.outerHTML);
  }
  for (const each of element.querySelectorAll("time")) each.textContent = time(each.dateTime);
}

/** Put what `fresh` holds in the place of what `old` does; parts that did not change stay the elements that they are. */
function renew(old, fresh) {
  const kept = new Map([...old.querySelectorAll("[data-item], [data-group]")].map((part) => [nameOf(part), part]));
  const same = (part) => shown.get(nameOf(part)) === part.outerHTML && kept.get(nameOf(part));
  const children = [...fresh.children].map((child) => {
    const before = same(child);
    if (before) return before;
    const items = [...child.querySelectorAll("[data-item]")].map((item) => [item, same(item)]);
    settle(child);
    for (const [item, stays] of items) if (stays) item.replaceWith(stays);
    return child;
  });
  old.replaceChildren(...children);
}

/** What became of those that waited for another try. */
function outcomes(fresh) {
  const said = [];
  for (const { dataset } of groups.querySelectorAll("[data-waits]")) {
    const there = fresh.querySelector(`[data-item="held-${dataset.waits}"]`);
    if (!there) said.push(`Number ${dataset.waits} was tried again and is settled.`);
    else if (!there.dataset.waits) said.push(`Number ${dataset.waits} was tried again and still cannot be processed.`);
  }
  return said.join(" ");
}

function show(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const fresh = page.getElementById("groups");
  if (!fresh) return; // a page to log in
  const news = outcomes(fresh) || page.getElementById("said").textContent;
  if (news) say(byId("said"), news);
  if (fresh.innerHTML === last) return;
  last = fresh.innerHTML;
  const focused = groups.contains(document.activeElement) ? document.activeElement : null;
  const item = focused?.closest("[data-item]");
  const items = [...groups.querySelectorAll("[data-item]")];
  renew(groups, fresh);
  if (!focused) return;
  // What is moved loses the focus; of what went, the next that is still there gets it.
  const place = items.indexOf(item);
  const others = [...items.slice(place + 1), ...items.slice(0, Math.max(place, 0)).reverse()];
  const there = item && others.find((each) => each.isConnected);
  const next = there?.querySelector("button") ?? there?.querySelector("a");
  if (focused.isConnected) focused.focus({ preventScroll: true });
  else (next ?? byId("main")).focus();
}

async function read() {
  clearTimeout(again);
  again = setTimeout(read, EVERY_MS);
  if (document.hidden || sending) return;
  readAt = Date.now();
  const answered = await fetch(address, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(WAIT_MS) }).catch(
    () => null,
  );
  if (answered?.ok && !answered.redirected && !sending) show(await answered.text());
}

/** Read soon, and not more often than once a second, however often there is news. */
function soon() {
  clearTimeout(again);
  again = setTimeout(read, Math.max(readAt + LEAST_MS - Date.now(), 0));
}

function complain(...children) {
  byId("problem").hidden = false;
  byId("problem").replaceChildren(...children);
}

async function send(form, button) {
  if (sending) return;
  sending = true;
  byId("problem").hidden = true;
  button.setAttribute("aria-disabled", "true");
  try {
    const answered = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "text/html" },
      body: new URLSearchParams(new FormData(form, button)),
      signal: AbortSignal.timeout(WAIT_MS),
    });
    if (answered.ok && new URL(answered.url).pathname === "/attention") {
      show(await answered.text());
    } else if (answered.status === 401 || answered.redirected) {
      complain(PROBLEMS[401], " ", login());
    } else {
      const page = new DOMParser().parseFromString(await answered.text(), "text/html");
      const why = page.querySelector("main p")?.textContent;
      complain(PROBLEMS[answered.status] ?? why ?? `That did not work (${answered.status}).`);
    }
  } catch {
    complain(el("span", {}, "The server does not answer. It may not be done: do it again, twice does no harm."));
  } finally {
    sending = false;
    button.removeAttribute("aria-disabled");
    soon();
  }
}

groups.addEventListener("submit", (event) => {
  event.preventDefault();
  send(event.target, event.submitter);
});

// Only with the focus in an answer, so that no key does anything elsewhere.
groups.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey || event.repeat) return;
  const item = event.target.closest("[data-item]");
  const button = item?.querySelector(`button[data-key-of="${CSS.escape(event.key.toLowerCase())}"]`);
  if (!button) return;
  event.preventDefault();
  button.click();
});

settle(groups);
history.replaceState(null, "", address); // what was done is said once, not with every reload
document.addEventListener("visibilitychange", () => document.hidden || soon());
follow(survey, { results: soon, state: showState });
again = setTimeout(read, EVERY_MS);
