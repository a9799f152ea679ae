// The review queue: one answer after the other, newest first (a fresh complaint can still be answered), one key each.
//
// Guarantees: a card stays until the server has its verdict; a key that is held, or struck twice, judges one card.

import { option, stars, ticket, wordsRead } from "./answer.js";
import { byId, el, say, time } from "./dom.js";
import { follow } from "./feed.js";
import { isOurs, letterOf } from "./keys.js";
import { inShort } from "./reading.js";
import { showState } from "./state.js";
import { giveVerdict } from "./verdict.js";
import { waitingText, whyHere } from "./words.js";

const BATCH = 50;
const SETTLE_MS = 250; // a card has to be seen before it can be judged
const RECENT = 5;
const WAIT_MS = 15_000;
const KEYS = "review-keys";

async function read(address) {
  const answered = await fetch(address, { signal: AbortSignal.timeout(WAIT_MS) });
  if (answered.status === 404) return null;
  if (!answered.ok) throw new Error(`status ${answered.status}`);
  return answered.json();
}

/** The ids that wait, newest first, without those that were passed over. */
class Waiting {
  #survey;
  #ids = [];
  #whole = new Map(); // those that are on their way here already
  passed = new Set();

  constructor(survey) {
    this.#survey = survey;
  }

  /** The next answer that still waits, whole; null when none does. */
  async next() {
    for (;;) {
      if (!this.#ids.length) this.#ids = await this.#list();
      const id = this.#ids.shift();
      if (!id) return null;
      const answer = await this.#read(id).catch((error) => {
        this.#ids.unshift(id);
        throw error;
      });
      if (!answer?.queued) continue; // somebody else was faster
      if (this.#ids.length) this.#ahead(this.#ids[0]);
      return answer;
    }
  }

  #ahead(id) {
    const coming = read(`/api/v1/feedback/${id}`);
    coming.catch(() => {}); // it is asked for again when its turn comes
    this.#whole.set(id, coming);
  }

  async #read(id) {
    const coming = this.#whole.get(id);
    this.#whole.delete(id);
    return (await coming?.catch(() => null)) ?? read(`/api/v1/feedback/${id}`);
  }

  async #list() {
    for (let before = ""; ; ) {
      const page = await read(`/api/v1/feedback?queued=true&survey=${this.#survey}&limit=${BATCH}${before}`);
      const ids = page.items.map((item) => item.id).filter((id) => !this.passed.has(id));
      if (ids.length || !page.next) return ids;
      before = `&before=${page.next}`;
    }
  }
}

const key = (name) => el("kbd", { "aria-hidden": "true" }, name);

function card(item, options, actions) {
  const button = (name, letter, kind, act) => {
    const made = el("button", { class: kind, "aria-keyshortcuts": letter, "aria-disabled": "true" }, name, key(letter));
    made.addEventListener("click", act);
    return made;
  };
  const [yes, no] = item.selected ? ["Yes, it needs a person", "No, a false alarm"] : ["Yes, open a ticket", "No"];
  return el(
    "article",
    { class: "card stack", "aria-labelledby": "why" },
    el("h2", { id: "why", tabindex: -1 }, whyHere(item).join(" · ") || "Waits for a verdict"),
    el(
      "p",
      { class: "row small soft" },
      el("time", { datetime: item.received_at }, time(item.received_at)),
      item.vote && el("span", {}, option(options, item.vote)),
      item.rating && stars(item.rating),
      item.contact?.reply ? el("span", { class: "tag" }, "asks for a reply") : null,
      item.selected ? el("span", {}, "Has a ticket already: ", ticket(item)) : el("span", {}, "No ticket yet"),
      el("a", { href: `/feedback/${item.id}` }, "Details"),
    ),
    wordsRead(item),
    inShort(item.comment, item.reading),
    el(
      "div",
      { class: "choices" },
      el("p", { class: "choices__question" }, "Does this customer need a person?"),
      button(yes, "Y", "button", () => actions.judge(true)),
      button(no, "N", "button button--quiet", () => actions.judge(false)),
      button("Skip", "S", "button button--quiet", actions.skip),
    ),
  );
}

function judged(item, said) {
  const letters = Array.from(item.comment);
  const begin = letters.length > 60 ? `${letters.slice(0, 60).join("")} …` : item.comment;
  const none = item.erased_at ? "erased" : "without words";
  return el(
    "li",
    { class: "row small" },
    el("strong", {}, said),
    el("bdi", { class: "soft judged__words" }, begin || none),
    el("a", { href: `/feedback/${item.id}` }, "Details"),
  );
}

/** The page. */
export function reviewPage({ review: survey, options }) {
  const waiting = new Waiting(survey);
  let current = null;
  let busy = false;
  let number = null; // how many wait, as the live connection says
  let news = false; // something may have come since the last look

  const stage = byId("stage");
  const problem = byId("problem");

  function showProblem(content) {
    problem.hidden = !content;
    problem.replaceChildren(...(content ? [content] : []));
  }

  function enable(on) {
    for (const button of stage.querySelectorAll(".choices button")) button.setAttribute("aria-disabled", String(!on));
  }

  function showNothing() {
    const skipped = waiting.passed.size;
    const again = el("button", { class: "button" }, "Show what I skipped");
    again.addEventListener("click", () => {
      waiting.passed.clear();
      news = true; // should it be looking already, it looks once more
      look();
    });
    const results = el("a", { class: "button button--quiet", href: `/s/${survey}` }, "To the overview");
    stage.replaceChildren(
      el(
        "section",
        { class: "card stack", "aria-labelledby": "why" },
        el("h2", { id: "why", tabindex: -1 }, skipped ? "Nothing else waits for you" : "Nothing waits for you"),
        el("p", {}, skipped ? "What you skipped still waits." : "What comes in shows here by itself."),
        el("p", { class: "row" }, skipped ? again : null, results),
      ),
    );
  }

  async function next() {
    busy = true;
    news = false;
    const first = !stage.hasChildNodes();
    const idle = !first && !current; // it says already that nothing waits
    try {
      current = await waiting.next();
    } catch {
      const again = el("button", { class: "button button--quiet" }, "Try again");
      again.addEventListener("click", () => busy || next());
      showProblem(el("span", {}, "The answers cannot be loaded at the moment. ", again));
      stage.replaceChildren(); // what stood there is judged or skipped
      current = number = null; // so that the next news try again
      busy = false;
      return;
    }
    showProblem(null);
    if (current) stage.replaceChildren(card(current, options, { judge, skip }));
    else if (!idle || !waiting.passed.size) showNothing();
    if (!first && !(idle && !current)) byId("why").focus();
    setTimeout(settled, current ? SETTLE_MS : 0);
  }

  function settled() {
    busy = false;
    enable(true);
    look();
  }

  function look() {
    if (!current && !busy && news) next();
  }

  async function judge(needsPerson) {
    if (busy || !current) return;
    busy = true;
    enable(false);
    const item = current;
    const { answer, problem: why } = await giveVerdict(item.id, needsPerson);
    if (!answer) {
      showProblem(why);
      busy = false;
      enable(true);
      return;
    }
    const yes = item.selected ? "Yes: noted" : "Yes: the ticket is on its way";
    const said = needsPerson ? yes : "No: noted";
    say(byId("said"), `${said}.`);
    byId("judged-card").hidden = false;
    byId("judged").prepend(judged(item, said));
    byId("judged").children[RECENT]?.remove();
    await next();
  }

  async function skip() {
    if (busy || !current) return;
    waiting.passed.add(current.id);
    say(byId("said"), "Skipped.");
    await next();
  }

  // Who speaks to the browser, or strikes keys without meaning to, can switch them off.
  const keysOn = byId("keys");
  keysOn.checked = localStorage.getItem(KEYS) !== "off";
  keysOn.addEventListener("change", () => localStorage.setItem(KEYS, keysOn.checked ? "on" : "off"));
  const keys = { y: () => judge(true), n: () => judge(false), s: skip };
  document.addEventListener("keydown", (event) => {
    const ours = isOurs(event) && !event.shiftKey && !event.target.closest("input");
    const act = keysOn.checked && ours && keys[letterOf(event)];
    if (!act) return;
    event.preventDefault();
    act();
  });

  next();
  follow(survey, {
    results: (push) => {
      options = push.results.options;
      say(byId("count"), push.waiting ? waitingText(push.waiting) : "");
      const fresh = push.newest.some((item) => item.queued && !waiting.passed.has(item.id));
      news ||= push.waiting > 0 && (fresh || push.waiting !== number);
      number = push.waiting;
      look();
    },
    state: showState,
  });
}
