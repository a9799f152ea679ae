// Answers over time: stacked bars by sentiment, and the same as a table.

import { count, el, plural, svg } from "./dom.js";
import { LABELS } from "./words.js";

const STEP = 10;
const HEIGHT = 100;
const HOUR = new Intl.DateTimeFormat("en-GB", { weekday: "short", hour: "2-digit", minute: "2-digit" });
// Days are counted in UTC, so they are named in UTC.
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const PERIODS = { hours: { each: "an hour", name: HOUR }, days: { each: "a day", name: DAY } };

const named = (period, bucket) => PERIODS[period].name.format(new Date(bucket.at));

/** The chart of `buckets`, as elements. */
export function chart(period, buckets) {
  const most = Math.max(...buckets.map((bucket) => bucket.answers));
  if (!most) return [el("p", { class: "soft" }, "No answers in this time.")];
  const bars = buckets.flatMap((bucket, index) => bar(bucket, index, most, named(period, bucket)));
  const width = buckets.length * STEP;
  const height = `up to ${plural(most, "answer", "answers")} ${PERIODS[period].each}`;
  const label = `Answers over time, ${height}; the table has the numbers`;
  const frame = { class: "chart", viewBox: `0 0 ${width} ${HEIGHT}`, preserveAspectRatio: "none" };
  const base = { class: "chart__base", x1: 0, y1: HEIGHT, x2: width, y2: HEIGHT };
  return [
    el("p", { class: "small soft" }, `${height[0].toUpperCase()}${height.slice(1)}`),
    svg("svg", { ...frame, role: "img", "aria-label": label }, ...bars, svg("line", base)),
    el(
      "p",
      { class: "chart__ends small soft", "aria-hidden": "true" },
      el("span", {}, named(period, buckets[0])),
      el("span", {}, named(period, buckets.at(-1))),
    ),
    el(
      "p",
      { class: "legend small" },
      ...Object.entries(LABELS).map(([kind, name]) => el("span", {}, swatch(kind), name)),
    ),
  ];
}

function bar(bucket, index, most, name) {
  let top = HEIGHT;
  return Object.keys(LABELS)
    .filter((kind) => bucket[kind])
    .map((kind) => {
      const height = (bucket[kind] / most) * (HEIGHT - 2);
      top -= height;
      const place = { class: kind, x: index * STEP + 1, y: top, width: STEP - 2, height };
      return svg("rect", place, svg("title", {}, `${name}: ${count(bucket[kind])} ${LABELS[kind].toLowerCase()}`));
    });
}

function swatch(kind) {
  const square = { class: "swatch", viewBox: "0 0 1 1", "aria-hidden": "true" };
  return svg("svg", square, svg("rect", { class: kind, width: 1, height: 1 }));
}

/** The same numbers as a table, newest first; empty times are left out. */
export function table(period, buckets, options) {
  const filled = buckets.filter((bucket) => bucket.answers).reverse();
  const when = period === "hours" ? "Hour" : "Day (UTC)";
  const heads = [when, "Answers", ...Object.values(LABELS), ...options.map((option) => option.label)];
  return el(
    "table",
    { class: "small number" },
    el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
    el(
      "tbody",
      {},
      ...filled.map((bucket) =>
        el(
          "tr",
          {},
          el("th", { scope: "row" }, named(period, bucket)),
          ...[
            bucket.answers,
            ...Object.keys(LABELS).map((kind) => bucket[kind]),
            ...options.map((option) => bucket.votes[option.key]),
          ].map((number) => el("td", {}, count(number))),
        ),
      ),
    ),
  );
}
