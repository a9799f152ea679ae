// The overview: a survey's period beside the one before, its newest answers and its totals, all kept live. What is shown
// stands in the address: the survey in its path, the period behind it.

import { showBooks } from "./books.js";
import { byId, clock, el, plural, say } from "./dom.js";
import { follow } from "./feed.js";
import { desk, reasons, tiles, words } from "./figures.js";
import { Newest } from "./newest.js";
import { howWell } from "./performance.js";
import { showState } from "./state.js";
import { TimeChart } from "./timechart.js";
import { noVotes, showTotals } from "./totals.js";
import { LABELS, waitingText } from "./words.js";

const BOOKS_MS = 10_000;
const TRIAGE_MS = 60_000;
const OVERVIEW_MS = 1_000; // the server looks no more often
const TIMES = 4; // a reading that took long is repeated later: a busy server is left in peace
const AGAIN_MS = 5_000; // after it could not be read
const HELD = 20; // changes, while nothing moves: the list shows no more
const ASKED = ["period", "from", "to", "group"];
const DEFAULT = "30d";
const MOODS = {
  negative: { color: "--chart-negative", hatched: true },
  neutral: { color: "--chart-neutral" },
  positive: { color: "--chart-positive" },
  unknown: { color: "--chart-unknown" },
};
const DAY = { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" };
const GROUPS = { hour: "by hour", day: "by day", week: "by week", month: "by month" };

const read = (address) => fetch(address).then((answer) => (answer.ok ? answer.json() : null), () => null);

/** Other content; the focus stays on what stands for what it was on. */
function renew(place, ...children) {
  const { activeElement: active } = document;
  const focused = place.contains(active) ? (active.getAttribute("href") ?? active.className) : null;
  place.replaceChildren(...children);
  if (focused === null) return;
  const found = [...place.querySelectorAll("a, [tabindex]")];
  found.find((each) => (each.getAttribute("href") ?? each.className) === focused)?.focus({ preventScroll: true });
}

/** Runs while somebody looks: at once, and then every so often. */
function again(seconds, run) {
  run();
  setInterval(() => document.hidden || run(), seconds);
}

/** The period that the address asks for, and the controls that change it. `changed` is called when it has. */
class Choice {
  #changed;

  constructor(changed) {
    this.#changed = changed;
    for (const button of byId("periods").querySelectorAll("[data-period]")) {
      button.addEventListener("click", () => this.#go({ period: button.dataset.period, from: null, to: null, group: null }));
    }
    byId("custom").addEventListener("click", () => this.#open(byId("dates").hidden));
    byId("group").addEventListener("change", (event) => this.#go({ group: event.target.value || null }));
    byId("dates").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#go({ period: null, from: byId("from").value, to: byId("to").value, group: null });
    });
    addEventListener("popstate", () => {
      this.#show();
      this.#changed();
    });
    this.#show();
  }

  /** As the overview's parameters. */
  get asked() {
    const given = new URLSearchParams(location.search);
    const kept = ASKED.filter((name) => given.get(name)).map((name) => [name, given.get(name)]);
    return new URLSearchParams(kept);
  }

  /** The default, whatever the address says. */
  reset() {
    this.#go({ period: null, from: null, to: null, group: null });
  }

  #go(change) {
    const asked = this.asked;
    for (const [name, value] of Object.entries(change)) {
      if (value) asked.set(name, value);
      else asked.delete(name);
    }
    history.pushState(null, "", asked.size ? `?${asked}` : location.pathname);
    this.#show();
    this.#changed();
  }

  #open(open) {
    byId("dates").hidden = !open;
    byId("custom").setAttribute("aria-expanded", String(open));
  }

  #show() {
    const asked = this.asked;
    const period = asked.get("period") ?? (asked.get("from") || asked.get("to") ? null : DEFAULT);
    for (const button of byId("periods").querySelectorAll("[data-period]")) {
      button.setAttribute("aria-pressed", String(button.dataset.period === period));
    }
    byId("custom").classList.toggle("chosen", period === null);
    this.#open(period === null);
    byId("from").value = asked.get("from") ?? byId("from").value;
    byId("to").value = asked.get("to") ?? byId("to").value;
    byId("group").value = asked.get("group") ?? "";
    if (byId("group").selectedIndex < 0) byId("group").value = "";
    // Another survey is looked at over the same period.
    for (const other of document.querySelectorAll("#surveys a")) other.search = asked;
  }
}

/** The part of the page that is of a period. */
class Overview {
  #survey;
  #form;
  #zone = new Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  #choice;
  #moods;
  #polls = null;
  #options = ""; // those that the votes are drawn of
  #answers = 0;
  #asking = null; // while an answer is on its way
  #next = 0; // when it may be asked again
  #timer = null;
  #wanted = ""; // at least as of then
  #waits = true;

  constructor(survey, form) {
    this.#survey = survey;
    this.#form = form;
    const kinds = Object.entries(LABELS).map(([kind, name]) => ({ kind, name, ...MOODS[kind], of: (each) => each[kind] }));
    const title = "What the words say, over time";
    this.#moods = new TimeChart(byId("moods"), { title, series: kinds, empty: () => [this.#nothing()] });
    this.#choice = new Choice(() => this.now());
    document.addEventListener("visibilitychange", () => this.#wanted && this.since(this.#wanted));
  }

  /** Read it now, whatever is under way: something else is asked for. */
  now() {
    this.#asking?.abort();
    this.#asking = null;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#waiting(true);
    say(byId("span"), "Reading the figures …");
    this.#read();
  }

  /** Whether what is shown is not what was asked for. */
  #waiting(is) {
    byId("overview").setAttribute("aria-busy", String(is));
    this.#waits = is;
  }

  /** Read it again soon, as of `moment` or later, while somebody looks. */
  since(moment) {
    if (moment > this.#wanted) this.#wanted = moment;
    if (this.#asking || this.#timer || document.hidden) return;
    const pause = Math.max(this.#next - performance.now(), 0);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#read();
    }, pause);
  }

  async #read() {
    const asking = new AbortController();
    this.#asking = asking;
    const began = performance.now();
    const asked = this.#choice.asked;
    asked.set("tz", this.#zone);
    const answer = await fetch(`/api/v1/surveys/${this.#survey}/overview?${asked}`, { signal: asking.signal })
      .then(async (found) => ({ status: found.status, body: await found.json() }), () => null)
      .catch(() => null);
    if (asking !== this.#asking) return;
    this.#asking = null;
    this.#next = began + Math.max(OVERVIEW_MS, TIMES * (performance.now() - began));
    if (answer?.status === 200) {
      this.#show(answer.body);
      // What came may be a second old.
      if (answer.body.as_of < this.#wanted) this.since(this.#wanted);
      else this.#wanted = "";
    } else if (answer?.status === 422) this.#refuse(answer.body);
    else {
      if (this.#waits) {
        const old = byId("key").children.length ? " Below are still those from before." : "";
        say(byId("span"), `The figures cannot be read at the moment; they come by themselves.${old}`);
      }
      this.#timer = setTimeout(() => {
        this.#timer = null;
        this.#read();
      }, AGAIN_MS);
    }
  }

  #refuse({ detail, errors }) {
    if (errors?.some(({ field }) => field === "tz") && this.#zone !== "UTC") {
      this.#zone = "UTC"; // the browser knows a zone that the server does not
      this.#read();
      return;
    }
    const back = el("button", { type: "button", class: "button button--quiet button--small" }, "Show the last 30 days");
    back.addEventListener("click", () => this.#choice.reset());
    byId("refused").replaceChildren(el("span", {}, detail), back);
    byId("refused").hidden = false;
    byId("overview").hidden = true;
    say(byId("span"), "");
  }

  #show(found) {
    byId("refused").hidden = true;
    byId("overview").hidden = false;
    this.#waiting(false);
    const day = new Intl.DateTimeFormat("en-GB", DAY);
    const dates = day.formatRange(new Date(found.first_day), new Date(found.last_day));
    this.#tell(`${dates}, ${GROUPS[found.group]}, in the time of ${found.tz.replaceAll("_", " ")}.`, found);
    renew(byId("key"), ...tiles(found));
    renew(byId("reasons"), ...reasons(found));
    renew(byId("words"), ...words(found));
    renew(byId("desk"), ...desk(found));
    this.#moods.show(found);
    this.#votes(found);
  }

  // Read out when it changes, which is when somebody has chosen another period.
  #tell(text, { tz }) {
    const digest = `/digest?${new URLSearchParams({ survey: this.#survey, tz })}`;
    const said = [`${text} Changes are against as long a time before. `, el("a", { href: digest }, "Yesterday in words")];
    const place = byId("span");
    if (!place.textContent.startsWith(text)) place.replaceChildren(...said);
  }

  #votes(found) {
    const { options, now } = found;
    const asked = JSON.stringify(options);
    if (asked !== this.#options) {
      this.#options = asked;
      this.#polls?.remove();
      this.#polls = new TimeChart(byId("polls"), {
        title: "Votes over time",
        series: options.map((option, index) => {
          const kind = option.unhappy ? "negative" : "positive";
          const shade = options.slice(0, index).filter(({ unhappy }) => unhappy === option.unhappy).length;
          return {
            kind: shade ? `${kind} shade-${shade}` : kind,
            name: option.label,
            color: shade ? `--chart-${kind}-${shade}` : `--chart-${kind}`,
            hatched: option.unhappy,
            of: ({ votes }) => votes[option.key],
          };
        }),
        empty: () => (this.#answers ? noVotes(this.#form) : [this.#nothing()]),
      });
    }
    this.#answers = now.answers;
    this.#polls.show(found);
  }

  #nothing() {
    return el("p", { class: "soft" }, "No answers in this period. A longer one may have some.");
  }
}

export function overviewPage(data) {
  const newest = new Newest();
  const overview = new Overview(data.survey, data.form);
  let last = null; // the newest push, and when it came
  let came = 0;
  let state = "";
  let paused = null; // since when
  let changes = 0; // meanwhile
  const held = new Map(); // the newest of them, by id

  function pushed(push) {
    last = push;
    came = Date.now();
    if (paused) {
      for (const item of newest.changed(push.newest)) {
        if (JSON.stringify(held.get(item.id)) !== JSON.stringify(item)) changes += 1;
        held.set(item.id, item);
      }
      const oldest = [...held.keys()].sort().slice(0, -HELD); // ids begin with the time
      for (const id of oldest) held.delete(id);
      showPause();
      return;
    }
    show(push.newest);
  }

  function show(items) {
    const { results, waiting } = last;
    say(byId("question"), results.question);
    byId("empty").hidden = results.total > 0;
    byId("numbers").hidden = results.total === 0;
    showTotals(results, data.form);
    byId("waiting").hidden = waiting === 0;
    say(byId("waiting-count"), waitingText(waiting));
    newest.show(items, results.options);
    overview.since(results.as_of);
    tick();
  }

  function tick() {
    if (!last) return;
    const seconds = Math.max(Math.round((Date.now() - came) / 1000), 0);
    const ago = seconds < 60 ? `${seconds} s` : seconds < 3600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
    say(byId("updated"), paused ? `as of ${clock(paused)}` : `updated ${ago} ago`);
  }

  function showPause() {
    const waiting = changes ? ` (${plural(changes, "change waits", "changes wait")})` : "";
    say(byId("pause"), paused ? `Resume${waiting}` : "Pause");
    tick();
    if (paused) {
      byId("live").hidden = false;
      byId("live").dataset.state = "paused";
      say(byId("live"), "paused");
    } else if (state) showState(state);
    else byId("live").hidden = true; // not connected for the first time yet
  }

  byId("pause").hidden = false;
  byId("pause").addEventListener("click", () => {
    paused = paused ? null : new Date(came || Date.now()).toISOString();
    if (!paused && last) show([...held.values()]);
    if (!paused) {
      held.clear();
      changes = 0;
    }
    showPause();
  });

  if (data.state) pushed(data.state);
  else {
    state = "away";
    showState(state);
  }
  overview.now();
  follow(data.survey, {
    results: pushed,
    state: (now) => {
      state = now;
      // A lost connection is told even when nothing moves.
      if (!paused || now !== "live") showState(now);
      if (paused && now === "live") {
        byId("notice").hidden = true;
        showPause();
      }
    },
  });
  setInterval(tick, 1_000);
  if (data.books) again(BOOKS_MS, async () => paused || put(showBooks, await read("/api/v1/books")));
  again(TRIAGE_MS, async () => paused || put(showTriage, await read(`/api/v1/surveys/${data.survey}/triage`)));
}

const showTriage = (figures) => byId("triage").replaceChildren(...howWell(figures));

function put(show, found) {
  if (found) show(found);
}
