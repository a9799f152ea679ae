// What a scorer read in a comment: the words that moved its rating, marked in place, and the sum that made the rating.

import { el } from "./dom.js";

const HIDDEN = {
  base: "Where every text begins",
  others: "All weaker words together",
  limit: "Kept within the scale",
  meaning: "The meaning of the whole",
};
const QUOTED = 60;
const DIGITS = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
const SIGNED = new Intl.NumberFormat("en", { signDisplay: "exceptZero", ...DIGITS });

const signed = (number) => SIGNED.format(number).replace("-", "−");
const fits = ({ start, end }, length) => start !== null && end !== null && 0 <= start && start < end && end <= length;
const named = ([term, start, end, points]) => ({ term, start, end, points });

/** The drivers that point at words; one that speaks of a whole sentence points at none of its words. */
function places(reading, letters) {
  const whole = ({ start, end }) =>
    letters.slice(start, end).some((letter) => /\s/.test(letter)) &&
    reading.sentences.some(([from, to]) => from === start && to === end);
  return (reading?.drivers ?? []).map(named).filter((driver) => fits(driver, letters.length) && !whole(driver));
}

/** The comment, each stretch of it that drivers cover marked by what they do together; spans may overlap. */
export function marked(comment, reading) {
  const letters = Array.from(comment); // spans count code points, as Array.from does and indices of strings do not
  const drivers = places(reading, letters);
  const cuts = [0, letters.length, ...drivers.flatMap(({ start, end }) => [start, end])];
  const edges = [...new Set(cuts)].sort((a, b) => a - b);
  const parts = edges.slice(1).map((end, index) => {
    const text = letters.slice(edges[index], end).join("");
    const over = drivers.filter((driver) => driver.start <= edges[index] && end <= driver.end);
    const points = over.reduce((sum, driver) => sum + driver.points, 0);
    if (!points) return text;
    const title = over.map((driver) => `${driver.term} ${signed(driver.points)}`).join("; ");
    return el("mark", { class: points < 0 ? "down" : "up", title }, text);
  });
  return el("p", { class: "words quote", dir: "auto" }, ...parts);
}

const lowers = (points) => points < 0;
const raises = (points) => points > 0;

/** The marked words once more, as two lines of text: for those who do not see the marks. */
export function inShort(comment, reading) {
  const letters = Array.from(comment);
  const drivers = places(reading, letters).sort((a, b) => a.start - b.start);
  const line = (name, kind, test) => {
    const found = drivers.filter(({ points }) => test(points));
    const texts = new Set(found.map(({ start, end }) => letters.slice(start, end).join("")));
    const words = [...texts].flatMap((word, index) => [index ? ", " : "", el("bdi", {}, word)]);
    return words.length ? el("span", {}, el("mark", { class: kind }, name), ": ", ...words) : null;
  };
  const lines = [line("Sounds unhappy", "down", lowers), line("Sounds happy", "up", raises)].filter(Boolean);
  return lines.length ? el("p", { class: "row small soft" }, ...lines) : null;
}

/** `points` in hundredths that add up to `total` in hundredths: what rounding loses goes to those that lost most. */
export function addingUp(points, total) {
  const exact = points.map((point) => point * 100);
  const down = exact.map(Math.floor);
  const missing = Math.round(total * 100) - down.reduce((sum, each) => sum + each, 0);
  const losers = exact.map((each, index) => [each - down[index], index]).sort((a, b) => b[0] - a[0]);
  for (const [, index] of losers.slice(0, Math.max(missing, 0))) down[index] += 1;
  return down.map((each) => each / 100);
}

/** The drivers as a table whose points add up to the predicted rating. */
export function sums(comment, reading) {
  const letters = Array.from(comment);
  const drivers = reading.drivers.map(named);
  const shown = addingUp(drivers.map(({ points }) => points), reading.rating);
  const rows = drivers.map((driver, index) => {
    const words = fits(driver, letters.length) ? letters.slice(driver.start, driver.end).join("") : null;
    const begin = letters.slice(driver.start, Math.min(driver.end, driver.start + QUOTED)).join("");
    const quote = begin === words ? words : `${begin} …`;
    const name = words === null ? (HIDDEN[driver.term] ?? driver.term) : el("bdi", {}, `“${quote}”`);
    const term = words !== null && words.toLowerCase() !== driver.term.toLowerCase() ? driver.term : null;
    const kind = lowers(driver.points) ? "down" : raises(driver.points) ? "up" : null;
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, name, term && el("span", { class: "soft" }, ` ${term}`)),
      el("td", {}, el("span", { class: kind && `points points--${kind}` }, signed(shown[index]))),
    );
  });
  const head = el("tr", {}, el("th", { scope: "col" }, "What"), el("th", { scope: "col" }, "Points"));
  const foot = el(
    "tr",
    {},
    el("th", { scope: "row" }, "Predicted rating, −4 to +4"),
    el("td", {}, signed(Math.round(reading.rating * 100) / 100)),
  );
  return el(
    "table",
    { class: "small number sums" },
    el("caption", { class: "visually-hidden" }, "What moved the predicted rating, and by how much"),
    el("thead", {}, head),
    el("tbody", {}, ...rows),
    el("tfoot", {}, foot),
  );
}

/** The sentences with their ratings. */
export function sentences(comment, reading) {
  const letters = Array.from(comment);
  return el(
    "ol",
    { class: "sentences small" },
    ...reading.sentences.map(([start, end, rating]) =>
      el(
        "li",
        {},
        el("span", { class: `number points points--${rating < 0 ? "down" : "up"}` }, signed(rating)),
        " ",
        el("bdi", {}, letters.slice(start, end).join("")),
      ),
    ),
  );
}
