// Heed's widget: a launcher with a dialog, or the form in a place of the page (settings: docs/embed.md).
// Guarantees: throws nothing into the page, leaves it window.Heed alone, costs nothing before the form is wanted,
// believes its own frame only, in which stays what customers write.
(async () => {
  "use strict";
  const WORDS = {
    en: ["Give feedback", "Close", "The form cannot be shown here.", "Open it in a new tab"],
    de: ["Feedback geben", "Schließen", "Das Formular lässt sich hier nicht zeigen.", "In neuem Tab öffnen"],
    es: ["Danos tu opinión", "Cerrar", "El formulario no se puede mostrar aquí.", "Abrirlo en otra pestaña"],
    fr: ["Donner mon avis", "Fermer", "Le formulaire ne peut pas s’afficher ici.", "L’ouvrir dans un nouvel onglet"],
    pt: ["Dar a minha opinião", "Fechar", "Não é possível mostrar o formulário aqui.", "Abrir em outra aba"],
    ja: ["ご意見を送る", "閉じる", "ここにはフォームを表示できません。", "新しいタブで開く"],
    ar: ["شاركنا رأيك", "إغلاق", "لا يمكن عرض النموذج هنا.", "افتحه في علامة تبويب جديدة"],
  };
  // Constructed: inline ones may be forbidden.
  const STYLE = `
:host { all: initial !important; display: block !important; color-scheme: light dark !important }
.heed { --accent: #0b6b53; --text: #fff; --ground: #f6f7f5; --ink: #1b2420; font: 16px/1.5 system-ui, sans-serif;
  color: var(--ink); overflow-wrap: anywhere }
button, dialog { max-width: calc(100% - 32px); border: 1px solid #0000 }
button { font: inherit; font-weight: 600; cursor: pointer }
:focus-visible { outline: 3px solid #3b82f6; outline-offset: 2px }
.launcher { position: fixed; bottom: max(16px, env(safe-area-inset-bottom)); z-index: 2147483000; min-height: 48px;
  padding: 8px 20px; border-radius: 24px; background: var(--accent); color: var(--text); box-shadow: 0 2px 12px #0006 }
.launcher::before { content: ""; display: inline-block; width: .8em; height: .7em; margin-inline-end: .5em;
  border-radius: 50% 50% 50% 10%; background: currentColor }
dialog { inset: auto auto 16px; margin: 0; padding: 0; width: 420px;
  max-height: calc(100% - 32px); overflow: hidden; border-radius: 14px; background: var(--ground); color: inherit;
  box-shadow: 0 8px 40px #0008; animation: rise .2s }
dialog::backdrop { background: #0006 }
dialog[open], .box { display: flex; flex-direction: column }
.bottom-right { right: 16px }
.bottom-left { left: 16px }
.bar { order: -1; display: flex; align-items: center; justify-content: space-between; padding-inline: 20px 0 }
.bar button { flex: 0 0 48px; height: 48px; outline-offset: -6px; background: none; color: inherit; font-size: 24px }
.box { position: relative; min-height: 200px; background: var(--ground) }
iframe { width: 100%; height: 480px; min-height: 0; border: 0 }
.note { position: absolute; inset: 0; padding: 20px; background: inherit; text-align: center }
.note a { display: block; color: inherit }
@keyframes rise { from { opacity: 0; translate: 0 16px } }
@media (max-width: 480px) {
  dialog[open] { inset: auto 0 0; width: auto; max-width: 100%; border-radius: 14px 14px 0 0 } }
@media (prefers-color-scheme: dark) {
  .heed { --accent: #5cc9a4; --text: #06261c; --ground: #121715; --ink: #e8eeea } }
@media (prefers-reduced-motion: reduce) { dialog { animation: none } }
@media print { .launcher { display: none } }`;

  const script = document.currentScript; // only now
  if (!script) throw "load widget.js by a script tag, not as a module";
  if (document.readyState === "loading") await new Promise((go) => addEventListener("DOMContentLoaded", go));
  const data = script.dataset;
  const site = new URL(script.src).origin;
  const wrong = [];
  const check = (name, pattern, advice) => {
    if (pattern.test(data[name] ?? "")) return data[name];
    if (name in data || name === "survey") wrong.push(`data-${name} must be ${advice}`);
  };
  const survey = check("survey", /^[a-z0-9][a-z0-9-]{0,62}$/, "a survey's name, like default");
  const place = check("position", /^bottom-(right|left)$/, "bottom-right or bottom-left") ?? "bottom-right";
  const color = check("color", /^#[0-9a-f]{6}$/i, "a colour like #0b6b53");
  const asked = check("language", /^(en|de|es|fr|pt|ja|ar)\b/, `one of ${Object.keys(WORDS)}`);
  const inline = "target" in data;
  const target = inline && document.getElementById(data.target.replace("#", ""));
  if (inline && !target) wrong.push("data-target must be an element's #id");
  if (!data.user !== !data.userHash) wrong.push("data-user must come with data-user-hash");
  if (wrong[0]) console.warn(`Heed: ${wrong.join("; ")}.`);
  if (!survey || (inline && !target)) return;

  const tags = [asked, document.documentElement.lang, navigator.language];
  const lang = tags.map((tag) => tag?.slice(0, 2).toLowerCase()).find((code) => WORDS[code]) ?? "en";
  const [standard, closes, fails, opens] = WORDS[lang];
  const label = data.label || standard;
  const store = `heed:client:${site}`;
  const asks = { lang, ...(data.vote && { vote: data.vote }) };
  const page = (more) => `${site}/s/${survey}?${new URLSearchParams({ ...asks, ...more })}`;
  const link = element("a", { href: page(data.ref && { ref: data.ref }), target: "_blank", rel: "noopener" }, opens);
  const note = element("div", { class: "note", role: "status" });
  const box = element("div", { class: "box" }, note);
  const heed = element("div", { class: "heed", lang, dir: lang === "ar" ? "rtl" : "ltr" });
  const host = element("div", { "data-heed": survey });
  let dialog, frame, timer, ready, failed;

  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const name in attributes) made.setAttribute(name, attributes[name]);
    made.append(...children);
    return made;
  }
  function load() {
    if (frame && !failed) return;
    frame?.remove();
    failed = false;
    note.textContent = "…";
    frame = element("iframe", { src: page({ embed: survey }), title: label, referrerpolicy: "no-referrer" });
    frame.onload = greet;
    box.prepend(frame);
    timer = setTimeout(fail, 10_000);
  }
  function fail() {
    failed = frame.hidden = true;
    note.replaceChildren(fails, link);
    if (dialog?.open) link.focus();
  }
  // Each page in the frame; again when another widget got a token.
  function greet() {
    if (!frame) return;
    clearTimeout(timer);
    if (!ready) timer = setTimeout(fail, 2_000); // a page that may not be framed is silent
    const { user, userHash: user_hash } = data;
    const who = user && user_hash ? { user, user_hash } : { client: token() };
    const url = data.url ?? location.origin + location.pathname; // a query may be private
    frame.contentWindow?.postMessage({ heed: "hello", color, url, app: data.app, ref: data.ref, ...who }, site);
  }
  // By which a browser is known again; the frame may keep none.
  function token(given) {
    try {
      if (given) localStorage[store] = given;
      return localStorage[store];
    } catch {
      return given;
    }
  }
  function tell(name, more) {
    document.dispatchEvent(new CustomEvent(`heed:${name}`, { detail: { survey, ...more } }));
  }
  function open() {
    load();
    if (!dialog) host.scrollIntoView();
    else if (!dialog.open) dialog.showModal();
    if (ready) frame.focus();
    return true;
  }
  addEventListener("message", ({ source, origin, data: said }) => {
    if (!frame || source !== frame.contentWindow || origin !== site) return;
    if (said.client) token(said.client);
    if (said.heed === "ready" && !ready) {
      clearTimeout(timer);
      ready = true;
      failed = frame.hidden = false;
      // Once drawn where it stays: before, a press would miss.
      requestAnimationFrame(() => requestAnimationFrame(() => note.remove()));
      if (dialog?.open) frame.focus();
      tell("ready");
    } else if (said.heed === "height") {
      frame.style.height = `${said.height}px`;
      tell("height", { height: said.height });
    } else if (said.heed === "submit") tell("submit");
    else if (said.heed === "close") dialog?.close();
  });
  addEventListener("storage", greet);
  document.addEventListener("heed:submit", greet);

  const root = host.attachShadow({ mode: "closed" });
  root.adoptedStyleSheets = [new CSSStyleSheet()];
  root.adoptedStyleSheets[0].replaceSync(STYLE);
  root.append(heed);
  if (color) {
    const [r, g, b] = [1, 3, 5].map((i) => ((parseInt(color.slice(i, i + 2), 16) / 255 + 0.055) / 1.055) ** 2.4);
    heed.style.setProperty("--accent", color);
    heed.style.setProperty("--text", 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff");
  }
  if (inline) {
    heed.append(box);
    target.replaceChildren(host);
    const near = (seen) => seen.some((each) => each.isIntersecting) && load();
    new IntersectionObserver(near, { rootMargin: "300px" }).observe(host);
  } else {
    const close = element("button", { "aria-label": closes, autofocus: "" }, "×");
    const bar = element("div", { class: "bar" }, label, close); // above, but for the keyboard below
    dialog = element("dialog", { class: place, "aria-label": label }, box, bar);
    close.onclick = () => dialog.close();
    dialog.onclick = ({ target: on }) => void (on === dialog && dialog.close()); // false would stop links
    const launcher = element("button", { class: `launcher ${place}` }, label);
    launcher.onclick = open;
    heed.append(launcher, dialog);
    document.querySelector(`body > [data-heed="${survey}"]`)?.remove(); // a script that runs twice
    document.body.append(host);
  }
  const before = window.Heed;
  const mine = (name) => host.isConnected && (name ?? survey) === survey && open();
  window.Heed = {
    open: (name) => (dialog && mine(name)) || before?.open(name) || mine(name),
    close: () => (before?.close(), dialog?.close()),
  };
})().catch((error) => console.warn("Heed:", error));
