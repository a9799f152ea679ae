// Whether the books balance, what was settled, and what waits in quarantine.

import { byId, count, el, plural, say, time } from "./dom.js";

export function showBooks(books) {
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
  const why = el("a", { href: "/attention" }, "See why");
  notice.replaceChildren(`In quarantine, because they could not be processed: ${waiting}. `, why);
}

function settlement({ at, reason, lost, earlier }) {
  const parts = [];
  if (lost) parts.push(`${count(lost)} accepted and lost`);
  if (earlier) parts.push(`${count(earlier)} accepted by an earlier queue`);
  return el("p", {}, `Settled on ${time(at)}: ${parts.join(", ")} (${reason}).`);
}
