// What Heed's terms are called on the pages.

import { count } from "./dom.js";

const COUNTED = 1000; // the server counts no further

export const LABELS = {
  negative: "Negative",
  neutral: "Neutral",
  positive: "Positive",
  unknown: "No or unclear words",
};

export const SIGNS = { negative: "−", neutral: "=", positive: "+", unknown: "?" };

export const REASONS = {
  text: "the words read negative",
  option: "the chosen option counts as unhappy",
  rating: "the rating counts as unhappy",
  contact: "the customer asks to be contacted",
  review: "somebody said that it needs a person",
};

export const FLAGS = {
  honeypot: "filled in a hidden field",
  fast: "sent faster than a person can",
  unseen: "sent without the form having been shown",
  burst: "one of a burst",
};

export const DECISIONS = {
  ticket: "Ticket: it needs a person",
  review: "Review: perhaps, a manager says",
  nothing: "Nothing: it needs nobody",
};

export const JUDGES = { manager: "A manager", api: "A program", agent: "An agent at the desk" };

export const TICKETS = {
  waiting: "Waiting",
  attempting: "Being opened",
  created: "Opened, note to come",
  opened: "Open",
  solved: "Solved",
  failed: "Failed",
};

/** What became of a selected answer, in a few words. */
export function ticketText(ticket) {
  if (!ticket) return "Ticket waiting";
  const name = ticket.desk_id === null ? "Ticket" : `Ticket ${ticket.desk_id}`;
  const status = (ticket.state === "opened" && ticket.desk_status) || TICKETS[ticket.state].toLowerCase();
  return `${name}: ${status}`;
}

const LANGUAGE = new Intl.DisplayNames(["en"], { type: "language" });

/** A language's name by its code; the code, when that is none. */
export function language(code) {
  try {
    return LANGUAGE.of(code);
  } catch {
    return code;
  }
}

const likely = (chance) => `${Math.round(chance * 100)} % likely`;

/** What made an answer suspicious, in words; nothing when it is not. */
export const suspicion = (flags) => flags.map((flag) => FLAGS[flag] ?? flag).join(", ");

/** Why an answer waits in the review queue, in a few words each. */
export function whyHere({ decision, label, comment, p_negative: chance, sampled, reading, flags }) {
  const tongue = reading?.language ? ` (language: ${language(reading.language)}?)` : "";
  return [
    flags.length > 0 && `Suspicious: ${suspicion(flags)}`,
    decision === "review" && chance !== null && `Perhaps unhappy: ${likely(chance)}`,
    label === "unknown" && comment && `The words could not be read${tongue}`,
    sampled && "Spot check: drawn by lot, whatever was decided",
  ].filter(Boolean);
}

/** The lines that a policy's name ends in, in words; nothing for a policy that names none. */
export function linesOf(policy) {
  const found = / ([\d.]+)\/([\d.]+)$/.exec(policy);
  const [ticket, review] = found?.slice(1).map((line) => `${Math.round(line * 100)} %`) ?? [];
  return found && `a ticket from ${ticket} likely negative on, a review from ${review} on`;
}

/** How many answers wait for a verdict. */
export function waitingText(waiting) {
  const number = waiting < COUNTED ? count(waiting) : `${count(COUNTED)} or more`;
  return `${number} ${waiting === 1 ? "answer waits" : "answers wait"} for a verdict`;
}
