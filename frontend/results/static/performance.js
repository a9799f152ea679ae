// How well triage works: two estimated shares with their intervals, and what people's verdicts say.

import { el, percent, plural, svg } from "./dom.js";

/** A share between its bounds, over a bar that shows them; or how many verdicts it lacks. */
function share(name, meaning, { value, low, high, missing }) {
  const unknown = missing
    ? `Too few verdicts to tell: ${plural(missing, "more is", "more are")} needed, on answers drawn by lot.`
    : "None of the answers that were judged needed a person.";
  if (value === null) {
    return el("div", {}, el("p", {}, name), el("p", { class: "small soft" }, unknown));
  }
  const place = (from, to, kind) => svg("rect", { class: kind, x: from * 100, width: (to - from) * 100, height: 1 });
  const point = Math.min(Math.max(value, 0.006), 0.994);
  return el(
    "div",
    {},
    el(
      "div",
      { class: "figure__line" },
      el("span", {}, name),
      el("span", { class: "figure__count number" }, `${percent(value)} (${percent(low)} to ${percent(high)})`),
    ),
    svg(
      "svg",
      { class: "meter meter--range", viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" },
      place(low, high, "range"),
      place(point - 0.006, point + 0.006, "point"),
    ),
    el("p", { class: "small soft" }, meaning),
  );
}

/** The card's content. */
export function howWell({ precision, recall, sample, verdicts }) {
  const all = (field) => Object.values(sample).reduce((sum, each) => sum + each[field], 0);
  const known = [
    [verdicts.confirmed, "ticket confirmed", "tickets confirmed"],
    [verdicts.false_alarms, "false alarm", "false alarms"],
    [verdicts.found, "found in review", "found in review"],
    [verdicts.missed, "missed", "missed"],
    [verdicts.dismissed, "needed nobody", "needed nobody"],
  ].filter(([number]) => number);
  const verdictText = known.map(([number, one, many]) => plural(number, one, many)).join(", ");
  const found = "of the answers that needed a person, how many got a ticket or a review";
  return [
    el(
      "div",
      { class: "grid" },
      share("Tickets that were needed (precision)", "of the tickets, how many needed a person", precision),
      share("Unhappy customers found (recall)", found, recall),
    ),
    el(
      "p",
      { class: "small soft" },
      `Estimated from verdicts on ${all("judged")} of the ${plural(all("drawn"), "answer", "answers")} drawn by lot `,
      "in the last 90 days; in brackets the 95 % interval. ",
      verdictText ? `All verdicts: ${verdictText}.` : "There are no verdicts yet.",
    ),
  ];
}
