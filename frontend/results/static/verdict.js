// Saying whether an answer needs a person. A verdict counts when the server says so, never before; given again it
// changes nothing more, so whoever is in doubt may give it again.

import { el } from "./dom.js";
import { login } from "./state.js";

const WAIT_MS = 15_000;
const PROBLEMS = {
  401: "You are logged out, and your verdict is not kept.",
  404: "This answer does not exist any more.",
  503: "The database cannot be reached at the moment, and your verdict is not kept. Give it again.",
};

/** The answer as it is after the verdict: {answer}; or why there is none, as {problem}: an element. */
export async function giveVerdict(id, needsPerson) {
  try {
    const answered = await fetch(`/api/v1/feedback/${id}/verdict`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ needs_person: needsPerson }),
      signal: AbortSignal.timeout(WAIT_MS),
    });
    if (answered.ok) return { answer: await answered.json() };
    const text = PROBLEMS[answered.status] ?? `That did not work (${answered.status}), and your verdict is not kept.`;
    return { problem: el("span", {}, text, ...(answered.status === 401 ? [" ", login()] : [])) };
  } catch {
    return { problem: el("span", {}, "The server does not answer. Your verdict may not be kept: give it again.") };
  }
}
