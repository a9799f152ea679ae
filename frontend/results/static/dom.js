// Making and filling elements. Data only ever becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";
const COUNT = new Intl.NumberFormat("en");
const TIME = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

export const byId = (id) => document.getElementById(id);
export const count = (number) => COUNT.format(number);
export const time = (iso) => TIME.format(new Date(iso));
export const clock = (iso) => CLOCK.format(new Date(iso));
export const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** An HTML element; children are elements or text. */
export const el = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);

/** The same for SVG. */
export const svg = (name, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, name), attributes, children);

/** Give an element new text, and leave it alone when it has that text already. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// What is not all never reads 100 %, what is not nothing never 0 %.
export function percent(share) {
  if (share > 0 && share < 0.005) return "< 1 %";
  if (share < 1 && share >= 0.995) return "> 99 %";
  return `${Math.round(share * 100)} %`;
}

/** A line with a name, a count and its share of `total`, over a bar of that length. */
export function figure(name, number, total, kind) {
  const share = total ? number / total : 0;
  return el(
    "div",
    {},
    el(
      "div",
      { class: "figure__line" },
      el("span", {}, name),
      el("span", { class: "figure__count number" }, `${count(number)} · ${percent(share)}`),
    ),
    svg(
      "svg",
      { class: "meter", viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: kind, width: share * 100, height: 1 }),
    ),
  );
}
