// How the page's live data stand, said in the bar and in a notice.

import { byId, el, say } from "./dom.js";

const NOTICES = {
  live: "",
  connecting: "The connection is lost; what you see is the last known state. Trying again …",
  away: "The database cannot be reached at the moment; what you see is the last known state.",
  "logged-out": "You are logged out; what you see is the last known state.",
  "not-yours": "You may no longer see this survey; what you see is the last known state.",
};

/** Where to log in, to come back to this page. */
export const login = () =>
  el("a", { href: `/login?next=${encodeURIComponent(location.pathname + location.search)}` }, "Log in");

/** Show a state of `follow`. */
export function showState(state) {
  const live = byId("live");
  live.hidden = false;
  live.dataset.state = state === "live" ? "live" : "waiting";
  say(live, { live: "live", "logged-out": "logged out", "not-yours": "not live" }[state] ?? "reconnecting");
  const notice = byId("notice");
  notice.hidden = state === "live";
  say(notice, NOTICES[state]);
  if (state === "logged-out") notice.append(" ", login());
}
