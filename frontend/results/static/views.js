// Views of the feedback page that somebody keeps under a name, in this browser. A view is its address.
//
// Guarantees: who logs in after somebody else, in the same browser, is shown none of theirs.

import { byId, el } from "./dom.js";

const KEPT = `feedback-views:${document.body.dataset.person}`;
const MOST = 30;

/** The views that are kept: {name, query}; none when what is there is not ours. */
function kept() {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT)) ?? [];
    return found.filter(({ name, query }) => typeof name === "string" && typeof query === "string").slice(0, MOST);
  } catch {
    return [];
  }
}

const query = () => location.search.replace(/^\?/, "");

/** Show the views, and let more be kept; `tell` says what happened. */
export function views(tell) {
  const nav = byId("saved");
  const form = byId("keep-form");
  const name = byId("keep-name");

  function keep(all) {
    try {
      localStorage.setItem(KEPT, JSON.stringify(all));
    } catch {
      return tell("This browser has no room for the view.");
    }
    show();
  }

  function entry(view) {
    const here = view.query === query() ? "page" : null;
    const remove = el("button", { class: "chip__remove", type: "button", "aria-label": `Remove ${view.name}` }, "×");
    remove.addEventListener("click", () => {
      keep(kept().filter((each) => each.name !== view.name));
      tell(`${view.name} is removed.`);
      (nav.querySelector("a") ?? byId("copy")).focus();
    });
    return el("li", {}, el("a", { href: `/feedback?${view.query}`, "aria-current": here }, view.name), remove);
  }

  function show() {
    const all = kept();
    nav.hidden = all.length === 0;
    nav.querySelector("ul").replaceChildren(...all.map(entry));
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = name.value.trim();
    if (!given) return;
    const others = kept().filter((each) => each.name !== given);
    if (others.length >= MOST) return tell(`This browser keeps ${MOST} views; remove one first.`);
    keep([...others, { name: given, query: query() }]);
    name.value = "";
    form.closest("details").open = false;
    form.closest("details").querySelector("summary").focus();
    tell(`${given} is kept among your views.`);
  });

  byId("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      tell("The link is copied.");
    } catch {
      tell("The browser does not let this page copy. The link is in the address bar.");
    }
  });
  addEventListener("storage", (event) => event.key === KEPT && show());
  byId("keep").hidden = false;
  show();
}
