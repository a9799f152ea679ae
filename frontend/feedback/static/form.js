// The form with scripts: it counts characters, sends without leaving the page, and keeps what could not be sent on this
// device until it is, with the same idempotency key, so that it counts once. Without scripts the form works as it is.

import { localise } from "./page.js";

const KEPT_DAYS = 7;
const SEND_SECONDS = 20;
const COUNT_FROM = 0.8; // of the longest comment
const PAUSES = [2, 4, 8, 15, 30]; // seconds between tries; the last one again and again
const AWAY = new Set([408, 500, 502, 503, 504]);

let timer = 0;
let tries = 0;
let waiting = null; // sends again what could not be sent
wire();
addEventListener("online", () => waiting?.());

function wire() {
  const form = document.getElementById("form");
  if (!form) return;
  const name = `heed:unsent:${form.dataset.survey}`;
  count(form);
  for (const link of document.querySelectorAll(".languages a")) {
    link.addEventListener("click", () => keep(sessionStorageOrNone(), `heed:draft:${form.dataset.survey}`, form));
  }
  restore(form, sessionStorageOrNone(), `heed:draft:${form.dataset.survey}`);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    tries = 0;
    send(form, name);
  });
  form.querySelector("[data-discard]").addEventListener("click", () => {
    clearTimeout(timer);
    waiting = null;
    drop(localStorageOrNone(), name);
    say(form, null);
  });
  if (restore(form, localStorageOrNone(), name)) send(form, name); // it was sent before, and did not arrive
}

async function send(form, name) {
  clearTimeout(timer);
  waiting = null;
  if (form.dataset.sending) return;
  form.dataset.sending = "yes";
  say(form, "sending");
  const fields = new URLSearchParams(new FormData(form));
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      body: fields,
      headers: { Accept: "application/json, text/html" },
      signal: AbortSignal.timeout(SEND_SECONDS * 1000),
    });
    if (AWAY.has(answer.status)) throw new Error(`status ${answer.status}`);
    const said = await answer.text();
    drop(localStorageOrNone(), name);
    if (answer.headers.get("content-type")?.startsWith("application/json")) {
      location.replace(JSON.parse(said).location);
      return;
    }
    show(said);
  } catch {
    // Perhaps it arrived and only the answer got lost: the same key makes it count once.
    keep(localStorageOrNone(), name, form);
    say(form, navigator.onLine ? "away" : "offline");
    const pause = PAUSES[Math.min(tries++, PAUSES.length - 1)];
    waiting = () => send(form, name);
    timer = setTimeout(waiting, pause * 1000);
  } finally {
    delete form.dataset.sending;
  }
}

/** Show what is going on: sending, offline, away, or nothing. */
function say(form, state) {
  for (const line of form.querySelectorAll("[data-when]")) line.hidden = line.dataset.when !== state;
  const button = form.querySelector("button[type=submit]");
  const busy = state === "sending";
  button.setAttribute("aria-disabled", String(busy));
  button.querySelector("[data-idle]").hidden = busy;
  button.querySelector("[data-busy]").hidden = !busy;
  form.querySelector("[data-discard]").hidden = state !== "away" && state !== "offline";
}

/** Put the page that the server answered with in the place of this one. */
function show(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const main = page.querySelector("main");
  const first = main.querySelector("[autofocus]") ?? main.querySelector("h1");
  first.removeAttribute("autofocus"); // it is for pages that are loaded
  first.tabIndex = -1;
  document.title = page.title;
  document.querySelector("main").replaceWith(main);
  localise(main);
  wire();
  first.focus();
  scrollTo(0, 0);
  dispatchEvent(new Event("heed:page"));
}

function count(form) {
  const comment = form.elements.comment;
  const line = document.getElementById("count");
  const number = new Intl.NumberFormat(document.documentElement.lang);
  const update = () => {
    const left = comment.maxLength - comment.value.length;
    line.hidden = comment.value.length < comment.maxLength * COUNT_FROM;
    line.querySelector("[data-left]").textContent = number.format(left);
    const described = (comment.getAttribute("aria-describedby") ?? "").split(" ").filter((id) => id && id !== "count");
    if (!line.hidden) described.push("count");
    if (described.length) comment.setAttribute("aria-describedby", described.join(" "));
    else comment.removeAttribute("aria-describedby");
  };
  comment.addEventListener("input", update);
  update();
}

// What is written, in the browser's storage, which may be forbidden or full: then it lives as long as the page.

function keep(storage, name, form) {
  try {
    storage?.setItem(name, JSON.stringify({ at: Date.now(), fields: [...new FormData(form)] }));
  } catch {
    // Nothing to do about it.
  }
}

function drop(storage, name) {
  storage?.removeItem(name);
}

/** Fill in what was kept; whether there was something. */
function restore(form, storage, name) {
  let kept;
  try {
    kept = JSON.parse(storage?.getItem(name) ?? "null");
  } catch {
    kept = null;
  }
  if (!kept) return false;
  if (storage === sessionStorageOrNone()) drop(storage, name);
  if (Date.now() - kept.at > KEPT_DAYS * 86_400_000) {
    drop(storage, name);
    return false;
  }
  for (const [field, value] of kept.fields) {
    const control = form.elements[field];
    if (!control || typeof value !== "string") continue;
    if (control.type === "checkbox") control.checked = true;
    else control.value = value; // of radio buttons, too, this chooses the one
  }
  const contact = form.querySelector(".contact");
  contact.open ||= ["name", "email"].some((field) => form.elements[field].value) || form.elements.reply.checked;
  form.elements.comment.dispatchEvent(new Event("input"));
  return true;
}

function localStorageOrNone() {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

function sessionStorageOrNone() {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}
