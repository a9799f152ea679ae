// What was answered since the beginning: votes, what the words say, tickets.

import { byId, count, el, figure, plural } from "./dom.js";
import { LABELS, TICKETS } from "./words.js";

/** That nobody has voted, and what to do. */
export const noVotes = (form) => [
  el("p", {}, "No votes yet"),
  el("p", { class: "small soft" }, "Votes are given in the form. ", el("a", { href: form }, "Open the form")),
];

export function showTotals(results, form) {
  showVotes(results, form);
  showSentiment(results);
  showTickets(results);
}

function showVotes({ options, votes, ratings, average_rating: average }, form) {
  const voted = options.reduce((sum, option) => sum + votes[option.key], 0);
  const rated = Object.values(ratings).reduce((sum, number) => sum + number, -ratings.none);
  const figures = voted
    ? options.map((option) =>
        figure(`${option.face} ${option.label}`, votes[option.key], voted, option.unhappy ? "bad" : "good"),
      )
    : noVotes(form);
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
