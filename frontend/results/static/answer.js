// Single answers: as an entry of the list, and whole.

import { el, time } from "./dom.js";
import { LABELS, REASONS, ticketText } from "./words.js";

function option(options, key) {
  const found = options.find((each) => each.key === key);
  return found ? `${found.face} ${found.label}`.trim() : key;
}

function ticket(item) {
  if (!item.selected) return null;
  const text = ticketText(item.ticket);
  const failed = item.ticket?.state === "failed";
  return item.ticket?.url
    ? el("a", { href: item.ticket.url }, text)
    : el("span", { class: failed ? "tag tag--alarm" : "soft" }, text);
}

const words = (item, kind) =>
  item.comment ? el("p", { class: kind }, item.comment) : el("p", { class: "soft" }, "Answered without words.");

/** The list's entry for an answer. */
export function entry(item, options) {
  return el(
    "li",
    { "data-id": item.id },
    el(
      "p",
      { class: "row small soft" },
      el("time", { datetime: item.received_at }, time(item.received_at)),
      item.vote && el("span", {}, option(options, item.vote)),
      item.rating && el("span", {}, `${item.rating} of 5`),
      item.comment && el("span", { class: item.label === "negative" ? "tag tag--alarm" : "tag" }, LABELS[item.label]),
    ),
    words(item, "words"),
    el("p", { class: "row small" }, el("a", { href: `/feedback/${item.id}` }, "Details"), ticket(item)),
  );
}

// Each in a direction of its own, so that no name can turn the address round.
const from = ({ name, email }) => [name && el("bdi", {}, name), name && email && ", ", email && el("bdi", {}, email)];

/** An answer, whole. */
export function whole(item, options) {
  const contact = item.contact;
  const reasons = item.reasons.map((reason) => REASONS[reason] ?? reason).join("; ");
  const facts = [
    ["Received", time(item.received_at)],
    ["Vote", item.vote ? option(options, item.vote) : "none"],
    ["Rating", item.rating ? `${item.rating} of 5` : "none"],
    ["From", contact ? from(contact) : "anonymous"],
    ["Reply", contact?.reply ? "asked for" : "not asked for"],
    ["Sent by", item.source === "form" ? "the form" : "the API"],
  ];
  const judgement = [
    ["Reads", LABELS[item.label].toLowerCase()],
    ["Negative", item.p_negative === null ? "no words to judge" : `${Math.round(item.p_negative * 100)} % likely`],
    ["Compound", item.compound.toFixed(3)],
    ["Scorer", item.scorer],
    ...Object.entries(item.scores)
      .filter(([name]) => name !== "compound")
      .map(([name, value]) => [name, JSON.stringify(value)]),
  ];
  const decision = [
    ["Selected", item.selected ? "yes" : "no"],
    ["Because", reasons || "nothing asks for a ticket"],
    ["Priority", item.priority ?? "none"],
    ["Policy", item.policy],
    ["Ticket", ticket(item) ?? "none needed"],
    ...(item.ticket ? [["Attempts", String(item.ticket.attempts)]] : []),
    ...(item.ticket?.last_error ? [["Last error", item.ticket.last_error]] : []),
  ];
  const card = (title, ...content) => el("section", { class: "card stack", "aria-label": title }, ...content);
  return [
    card("The answer", words(item, "words quote"), list(facts)),
    card("Decision", el("h2", {}, "Decision"), list(decision)),
    card("Sentiment", el("h2", {}, "Sentiment"), list(judgement)),
  ];
}

const list = (pairs) =>
  el("dl", { class: "facts" }, ...pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
