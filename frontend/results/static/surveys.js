// The pages of surveys with scripts: times in the visitor's own zone, a preview that follows, the colour's shades as they
// are typed, snippets to copy, lines to pull. Without scripts all of it works by its buttons.

import { byId, el, say, svg } from "./dom.js";

const PREVIEW_MS = 400;
const PULLED_MS = 500;
const MOMENT = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const DRAFT = `heed:draft:${document.body.dataset.person}:`; // whoever logs in meanwhile
const COLOR = /^#[0-9a-f]{6}$/i;

for (const time of document.querySelectorAll("time[datetime]")) time.textContent = MOMENT.format(new Date(time.dateTime));

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(byId(button.dataset.copy).textContent);
      say(byId("copied"), "");
      say(byId("copied"), "Copied.");
      flash(button, "Copied");
    } catch {
      flash(button, "Not copied");
    }
  });
}

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

byId("problem")?.focus();
const editor = byId("editor");
if (editor) edit(editor);
for (const line of document.querySelectorAll("[data-line]")) pull(line);

/** Say it on the button for a moment. */
function flash(button, words) {
  const before = button.firstChild.textContent;
  if (before === words) return;
  button.firstChild.textContent = words;
  setTimeout(() => (button.firstChild.textContent = before), 2000);
}

function edit(form) {
  const show = form.querySelector("[data-preview]");
  show.hidden = true; // it follows by itself
  let timer = 0;
  let saving = false;
  const follow = () => {
    clearTimeout(timer);
    timer = setTimeout(() => form.requestSubmit(show), PREVIEW_MS);
  };
  let changed = false;
  form.addEventListener("input", () => {
    changed = true;
    say(byId("unsaved"), "Not saved yet.");
    follow();
  });
  document.querySelector("[name=preview_language]").addEventListener("change", follow);
  form.addEventListener("submit", (event) => {
    if (event.submitter === show) return;
    saving = true;
    remember(form);
  });
  addEventListener("beforeunload", (event) => {
    if (changed && !saving) event.preventDefault();
  });
  zone(form);
  const shades = colour(form);
  if (byId("problem")) follow(); // what was written is not what is kept
  if (document.querySelector("[data-said], #problem")) forget(form); // it was answered
  else if (recall(form)) {
    changed = true;
    say(byId("unsaved"), "It could not be saved before. What you wrote is back.");
    shades();
    follow();
  }
}

// What was sent and not answered, while something was away, is there again when the page is.

function draftOf(form) {
  return DRAFT + new URL(form.action).pathname;
}

function remember(form) {
  try {
    sessionStorage.setItem(draftOf(form), JSON.stringify([...new FormData(form)]));
  } catch {
    // Storage is forbidden or full: then the browser's own memory has to do.
  }
}

function forget(form) {
  sessionStorage.removeItem(draftOf(form));
  sessionStorage.removeItem(`${DRAFT}/surveys/new`);
}

/** Whether there was something, of this same version. */
function recall(form) {
  const kept = new Map(JSON.parse(sessionStorage.getItem(draftOf(form)) ?? "[]"));
  if (!kept.size || kept.get("version") !== form.elements.version?.value) return false;
  for (const field of form.elements) {
    if (field.type === "checkbox") field.checked = kept.has(field.name);
    else if (field.type === "datetime-local") field.value = moment(kept.get(field.name));
    else if (kept.has(field.name)) field.value = kept.get(field.name);
  }
  return true;
}

/** Times are UTC where they are kept and sent, and the visitor's own where they are seen. */
function zone(form) {
  const fields = [...form.querySelectorAll("[data-zone] input")];
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const field of fields) {
    const label = form.querySelector(`label[for="${field.id}"]`);
    label.textContent = label.textContent.replace("UTC", name);
    field.value = moment(field.value);
  }
  form.addEventListener("formdata", ({ formData }) => {
    for (const { name: field, value } of fields) {
      const at = new Date(value); // as it reads here
      if (value && !Number.isNaN(at.getTime())) formData.set(field, at.toISOString().slice(0, 19));
    }
  });
}

/** A time in UTC as it reads here; nothing for none. */
function moment(utc) {
  if (!utc) return "";
  const at = new Date(`${utc}Z`);
  const shifted = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, at.getUTCSeconds() ? 19 : 16);
}

function colour(form) {
  const { color } = form.elements;
  const picker = el("input", { type: "color", "aria-label": "Pick the colour", value: color.value || "#0b6b53" });
  form.querySelector(".colour").append(picker);
  let asked = "";
  const shades = async () => {
    const chosen = color.value.trim().toLowerCase();
    if (chosen === asked) return;
    asked = chosen;
    if (!COLOR.test(chosen)) {
      byId("swatches").replaceChildren();
      return;
    }
    picker.value = chosen;
    try {
      const answer = await fetch(`/api/v1/colors/${chosen.slice(1)}`);
      if (!answer.ok) return;
      const { light, dark } = await answer.json();
      if (asked === chosen) byId("swatches").replaceChildren(swatch("Light", light), swatch("Dark", dark));
    } catch {
      byId("swatches").replaceChildren(); // no connection: nothing is claimed
      asked = "";
    }
  };
  color.addEventListener("input", shades);
  picker.addEventListener("input", () => {
    color.value = picker.value;
    color.dispatchEvent(new Event("input", { bubbles: true }));
  });
  return shades;
}

/** As survey-parts.html has it. */
function swatch(name, { accent, on_accent: on, ratio, on_ratio: onRatio, moved }) {
  const words = (x, fill, text, weight) =>
    svg("text", { x, y: 27, "text-anchor": "middle", "font-size": 13, "font-weight": weight, fill }, text);
  return el(
    "li",
    { class: "swatch-line" },
    svg(
      "svg",
      { class: "swatch-sample", width: 120, height: 44, viewBox: "0 0 120 44", "aria-hidden": "true" },
      svg("rect", { width: 120, height: 44, rx: 6, fill: name === "Light" ? "#ffffff" : "#1b2220", stroke: "#7d8b85" }),
      svg("rect", { x: 8, y: 8, width: 56, height: 28, rx: 5, fill: accent }),
      words(36, on, "Send", 600),
      words(92, accent, "Link", 400),
    ),
    el(
      "span",
      { class: "small" },
      el("b", {}, name),
      " ",
      el("code", {}, accent),
      el("br"),
      `text ${ratio.toFixed(1)}\u00a0:\u00a01, on it ${onRatio.toFixed(1)}\u00a0:\u00a01`,
      el("br"),
      moved ? `Heed made it ${name === "Light" ? "darker" : "lighter"}, so that it can be read.` : "As you chose it.",
    ),
  );
}

/** A line of the rehearsal to pull; the rehearsal follows when it is let go. */
function pull(line) {
  const number = line.querySelector("input");
  const label = line.querySelector("label").textContent;
  const range = el("input", { type: "range", class: "range-line", min: 1, max: 100, step: 1, "aria-label": label });
  range.value = number.value || number.dataset.own || 50;
  line.append(range);
  range.addEventListener("input", () => (number.value = range.value));
  number.addEventListener("input", () => (range.value = number.value || number.dataset.own || 50));
  let timer = 0;
  range.addEventListener("change", () => {
    clearTimeout(timer); // the next key may follow
    timer = setTimeout(() => {
      byId("rehearsed")?.setAttribute("aria-busy", "true");
      number.form.action = `#pulled-${number.id}`;
      number.form.requestSubmit();
    }, PULLED_MS);
  });
  if (location.hash === `#pulled-${number.id}`) {
    history.replaceState(history.state, "", location.pathname + location.search);
    range.focus();
  }
}
