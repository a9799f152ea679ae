// Single keys of a page, and the dialog that lists them.
//
// Guarantees: no key acts in a field, with a modifier, when held, or behind a dialog; who speaks to the browser, or
// strikes keys without meaning to, switches them off for good.

import { byId } from "./dom.js";

const KEPT = "keys";

/** Whether a key was struck that may be a page's own: once, alone, and not into a field. */
export function isOurs(event) {
  const held = event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.isComposing;
  if (held || event.defaultPrevented || document.querySelector("dialog[open]")) return false;
  return !event.target.closest("textarea, select, [contenteditable], input:not([type=checkbox])");
}

/** The key by its letter; where the letters are others (Greek, Cyrillic), by where Latin keyboards have it. */
export const letterOf = (event) =>
  event.key < "\u0080" || event.key.length > 1 ? event.key.toLowerCase() : event.code.slice(-1).toLowerCase();

/** Let keys act: `acts` by letter or name of the key; an act that returns false leaves the key to the browser. */
export function keys(acts) {
  const dialog = byId("keys-dialog");
  const on = byId("keys");
  on.checked = localStorage.getItem(KEPT) !== "off";
  on.addEventListener("change", () => localStorage.setItem(KEPT, on.checked ? "on" : "off"));
  const all = { ...acts, "?": () => dialog.showModal() };
  document.addEventListener("keydown", (event) => {
    if (!on.checked || !isOurs(event)) return;
    const letter = letterOf(event);
    if (event.shiftKey && letter !== "?") return;
    if (all[letter] && all[letter](event) !== false) event.preventDefault();
  });
  byId("keys-help").addEventListener("click", () => dialog.showModal());
}
