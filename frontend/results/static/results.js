// Shows the managers' pages from their JSON, and keeps the results page live without a reload.

import { answerPage, entry } from "./answer.js";
import { chart, table } from "./chart.js";
import { byId, clock, count, el, figure, plural, say, time } from "./dom.js";
import { follow } from "./feed.js";
import { howWell } from "./performance.js";
import { reviewPage } from "./review.js";
import { showState } from "./state.js";
import { LABELS, TICKETS, waitingText } from "./words.js";

const NEWEST = 20;
const BOOKS_MS = 10_000;
const FIGURES_MS = 60_000;

function showVotes({ options, votes, ratings, average_rating: average }) {
  const voted = options.reduce((sum, option) => sum + votes[option.key], 0);
  const rated = Object.values(ratings).reduce((sum, number) => sum + number, -ratings.none);
  const figures = voted
    ? options.map((option) =>
        figure(`${option.face} ${option.label}`, votes[option.key], voted, option.unhappy ? "bad" : "good"),
      )
    : [el("p", {}, "No votes yet")];
  const asides = [
    votes.none ? `${plural(votes.none, "answer", "answers")} without a vote.` : "",
    rated ? `Rated ${average.toFixed(1)} of 5 on average (${plural(rated, "rating", "ratings")}).` : "",
  ];
  const notes = asides.filter(Boolean).map((text) => el("p", { class: "small soft" }, text));
  byId("votes").replaceChildren(el("div", { class: "figures" }, ...figures, ...notes));
}

function showSentiment({ sentiment, total }) {
  const figures = Object.entries(LABELS).map(([kind, name]) => figure(name, sentiment[kind], total, kind));
  byId("sentiment").replaceChildren(el("div", { class: "figures" }, ...figures));
}

function showTickets({ selected, tickets }) {
  const shown = Object.entries(TICKETS).filter(([state]) => tickets[state] || state === "opened" || state === "solved");
  const lines = shown.map(([state, name]) =>
    el(
      "div",
      { class: "figure__line" },
      el("span", { class: state === "failed" ? "tag tag--alarm" : null }, name),
      el("span", { class: "figure__count number" }, count(tickets[state])),
    ),
  );
  const asks = plural(selected, "answer asks for a ticket.", "answers ask for a ticket.");
  byId("tickets").replaceChildren(el("div", { class: "figures" }, ...lines, el("p", { class: "small soft" }, asks)));
}

/** The newest answers: entries that did not change stay in place, so that neither focus nor reading is disturbed. */
class Newest {
  #items = new Map();

  show(changed, options) {
    for (const item of changed) {
      const before = this.#items.get(item.id);
      const text = JSON.stringify(item);
      if (before?.text === text) continue;
      const element = entry(item, options);
      before?.element.replaceWith(element);
      this.#items.set(item.id, { text, element });
    }
    const ids = [...this.#items.keys()].sort().reverse(); // ids begin with the time
    for (const id of ids.splice(NEWEST)) {
      this.#items.get(id).element.remove();
      this.#items.delete(id);
    }
    const list = byId("newest");
    ids.forEach((id, place) => {
      const { element } = this.#items.get(id);
      if (list.children[place] !== element) list.insertBefore(element, list.children[place] ?? null);
    });
  }
}

function resultsPage(data) {
  const newest = new Newest();
  let results = null;
  let period = "hours";

  function showTime() {
    if (!results) return;
    byId("chart").replaceChildren(...chart(period, results[period]));
    if (byId("table").open) {
      byId("table").querySelector(".scroll").replaceChildren(table(period, results[period], results.options));
    }
  }

  function show(push) {
    results = push.results;
    say(byId("question"), results.question);
    say(byId("updated"), `updated ${clock(results.as_of)}`);
    byId("empty").hidden = results.total > 0;
    byId("numbers").hidden = results.total === 0;
    showVotes(results);
    showSentiment(results);
    showTickets(results);
    showTime();
    showWaiting(push.waiting);
    newest.show(push.newest, results.options);
  }

  function showWaiting(waiting) {
    byId("waiting").hidden = waiting === 0;
    say(byId("waiting-count"), waitingText(waiting));
  }

  byId("form").href = data.form;
  for (const button of document.querySelectorAll("[data-period]")) {
    button.addEventListener("click", () => {
      period = button.dataset.period;
      for (const each of document.querySelectorAll("[data-period]")) {
        each.setAttribute("aria-pressed", String(each === button));
      }
      showTime();
    });
  }
  byId("table").addEventListener("toggle", showTime);
  if (data.state) show(data.state);
  else showState("away");
  follow(data.survey, { results: show, state: showState });
  if (data.books) {
    showBooks();
    setInterval(() => document.hidden || showBooks(), BOOKS_MS);
  }
  showPerformance(data.survey);
  setInterval(() => document.hidden || showPerformance(data.survey), FIGURES_MS);
}

const read = (address) => fetch(address).then((answer) => (answer.ok ? answer.json() : null), () => null);

async function showPerformance(survey) {
  const figures = await read(`/api/v1/surveys/${survey}/triage`);
  if (figures) byId("triage").replaceChildren(...howWell(figures));
}

async function showBooks() {
  const books = await read("/api/v1/books");
  if (!books) return;
  const sum = (...parts) => parts.map(([field, name]) => `${count(books[field] ?? 0)} ${name}`).join(" + ");
  const lost = books.lost ? [["lost", "lost"]] : [];
  const stored = sum(["stored", "stored"], ["quarantined", "quarantined"], ["queued", "queued"], ...lost);
  const ticketed = sum(["ticketed", "with ticket"], ["in_flight", "in flight"], ["failed", "failed"]);
  const sent = `${count(books.selected)} selected = ${ticketed}`;
  const problems = books.problems.join(" ");
  const line = byId("books");
  line.className = books.balanced === false ? "error" : "small soft number";
  if (books.balanced) say(line, `The books balance: ${count(books.accepted)} accepted = ${stored}; ${sent}.`);
  else if (books.balanced === false) say(line, `The books do not balance. ${problems}`);
  else say(line, `The books cannot be closed at the moment: ${problems} Known: ${sent}.`);
  byId("settlements").replaceChildren(...books.settlements.map(settlement));
  const notice = byId("quarantine");
  notice.hidden = books.quarantined === 0;
  const waiting = plural(books.quarantined, "submission", "submissions");
  const why = el("a", { href: "/api/v1/quarantine" }, "See why");
  notice.replaceChildren(`In quarantine, because they could not be processed: ${waiting}. `, why);
}

function settlement({ at, reason, lost, earlier }) {
  const parts = [];
  if (lost) parts.push(`${count(lost)} accepted and lost`);
  if (earlier) parts.push(`${count(earlier)} accepted by an earlier queue`);
  return el("p", {}, `Settled on ${time(at)}: ${parts.join(", ")} (${reason}).`);
}

const data = JSON.parse(byId("data").textContent);
if (data.answer) answerPage(data);
else if (data.review) reviewPage(data);
else resultsPage(data);
