// Answers on their way: kept on this device from the moment of sending until the server has said what became of them, and
// sent again with the same idempotency key, so that each counts once.

const KEPT_DAYS = 7;
const SEND_SECONDS = 20;
const PAUSES = [2, 4, 8, 15, 30]; // seconds between tries; the last one again and again

/** An answer as it was sent: `fields` never change, whatever is written in the form meanwhile. */
export function answerOf(form) {
  const fields = [...new FormData(form)].filter(([, value]) => typeof value === "string");
  return { action: form.action, fields, at: Date.now(), key: form.elements.key.value, survey: form.dataset.survey };
}

/** Keep it on this device; whether that could be done (storage may be forbidden or full). */
export function keep(answer) {
  try {
    localStorage.setItem(name(answer), JSON.stringify(answer));
    return true;
  } catch {
    return false;
  }
}

/** It needs to be kept no longer. */
export function drop(answer) {
  try {
    localStorage.removeItem(name(answer));
  } catch {
    // Then it was not kept.
  }
}

/** The answers to a survey that were sent and not heard of, oldest first. */
export function kept(survey) {
  const found = [];
  try {
    for (const key of Object.keys(localStorage).filter((each) => each.startsWith(`heed:unsent:${survey}:`))) {
      const answer = read(localStorage.getItem(key));
      if (answer) found.push(answer);
      else localStorage.removeItem(key);
    }
  } catch {
    // Storage is forbidden.
  }
  return found.sort((one, other) => one.at - other.at);
}

/** Send it once: `{location}` when it was taken, `{page}` when the server answered with a page, else `{again}`: how many
 * milliseconds the server asks to wait, 0 if it said nothing; `many`: it has too many answers from here. */
export async function send(answer) {
  const given = new AbortController();
  const timer = setTimeout(() => given.abort(), SEND_SECONDS * 1000);
  try {
    const said = await fetch(answer.action, {
      method: "POST",
      body: new URLSearchParams(answer.fields),
      headers: { Accept: "application/json, text/html" },
      signal: given.signal,
    });
    const type = said.headers.get("content-type") ?? "";
    if (said.ok && type.startsWith("application/json")) {
      const { location } = await said.json();
      if (location) return { location };
    } else if (type.startsWith("text/html") && said.status !== 429 && said.status !== 503) {
      const page = new DOMParser().parseFromString(await said.text(), "text/html");
      if (page.querySelector("main[data-state]")) return { page }; // others come from whoever stands between us
    }
    return { again: 1000 * (Number(said.headers.get("retry-after")) || 0), many: said.status === 429 };
  } catch {
    return { again: 0 };
  } finally {
    clearTimeout(timer);
  }
}

/** Send it until it is heard of. `waits` is told before each pause; the returned `attempt` tries now, `end` gives up. */
export function deliver(answer, { waits, taken, refused }) {
  let timer = 0;
  let tries = 0;
  let busy = false;
  let ended = false;

  async function attempt() {
    clearTimeout(timer);
    if (busy || ended) return;
    busy = true;
    const { location, page, again, many } = await send(answer);
    busy = false;
    if (ended) return;
    if (again === undefined) {
      end();
      drop(answer);
      if (location) taken(location);
      else refused(page);
      return;
    }
    const pause = Math.max(again, PAUSES[Math.min(tries++, PAUSES.length - 1)] * 1000);
    timer = setTimeout(attempt, pause * (1 + Math.random() / 4)); // not all at once when the server is back
    waits(many);
  }
  function end() {
    ended = true;
    clearTimeout(timer);
    removeEventListener("online", attempt);
  }
  addEventListener("online", attempt);
  attempt();
  return { end, attempt };
}

function name({ survey, key }) {
  return `heed:unsent:${survey}:${key}`;
}

function read(text) {
  try {
    const answer = JSON.parse(text);
    return Date.now() - answer.at < KEPT_DAYS * 86_400_000 && Array.isArray(answer.fields) ? answer : null;
  } catch {
    return null;
  }
}
