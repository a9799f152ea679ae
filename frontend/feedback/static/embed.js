// A customer's page inside another site's page: says how high it is and that an answer was taken, and takes what that
// page knows into the form. Guarantees: only the window around is listened to and told, and only if its origin is one of
// the survey's or our own; nothing is said before it has greeted, and nothing of what is written ever.

const root = document.documentElement;
const origins = [location.origin, ...root.dataset.origins.split(" ")];
const FIELDS = ["client", "user", "user_hash", "url", "app", "ref"];
const HEX = /^#[0-9a-f]{6}$/i;
const CONTRAST = 4.6; // 4.5 : 1 for text, and a little for what is rounded below

let around = ""; // the origin of the page around, once it has greeted
let known = {};
let taken = null;

if (location.hash.startsWith("#client=")) {
  // Not for the address: whoever copies it would give away whose answer it was.
  taken = { client: location.hash.slice("#client=".length) };
  history.replaceState(history.state, "", location.pathname + location.search);
  // It was sent at the end of a long form: what came of it may be above what is seen, and is to be heard.
  const title = document.querySelector("h1");
  title.tabIndex = -1;
  if (document.hasFocus()) title.focus();
}

addEventListener("message", ({ source, origin, data }) => {
  if (source !== parent || source === window || !origins.includes(origin) || data?.heed !== "hello") return;
  around = origin;
  known = data;
  fill();
  paint();
  height(); // first: at the other word the page around uncovers the form, which must not move any more
  say("ready");
  if (taken) say("submit", taken);
  taken = null;
});
addEventListener("heed:page", fill); // the form came back in the place of the one before
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.defaultPrevented && !event.isComposing) say("close"); // it does not get there
});
addEventListener("submit", () => {
  // Before it is sent: if what comes back gets lost, the page around knows all the same who this was.
  const client = field("client")?.value;
  if (client && !known.user) say("sending", { client });
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
new ResizeObserver(height).observe(document.body);

function say(what, more) {
  if (around) parent.postMessage({ heed: what, ...more }, around);
}

function height() {
  const now = Math.ceil(document.body.getBoundingClientRect().height);
  if (now) say("height", { height: now }); // a frame that is hidden, in a closed dialog, has none
}

function field(name) {
  return document.querySelector(`input[type="hidden"][name="${name}"]`);
}

function fill() {
  for (const name of FIELDS) {
    const to = field(name);
    if (to && known[name] && typeof known[name] === "string") to.value = known[name];
  }
}

/** The host's colour as the accent, moved towards black or white until it can be read on every ground. */
function paint() {
  if (!HEX.test(known.color)) return;
  const token = (name) => rgb(getComputedStyle(root).getPropertyValue(name).trim());
  const ground = token("--sunken"); // of all grounds the one on which least can be read
  const end = luminance(ground) > 0.18 ? [0, 0, 0] : [255, 255, 255];
  let accent = rgb(known.color);
  while (contrast(accent, ground) < CONTRAST) accent = mixed(accent, end);
  const tokens = {
    "--accent": css(accent),
    "--accent-strong": css(mixed(mixed(accent, end), end)),
    "--on-accent": end[0] ? "#000" : "#fff",
    "--accent-soft": css(mixed(token("--surface"), accent)),
    "--glow": css(mixed(token("--ground"), accent)),
  };
  for (const [name, value] of Object.entries(tokens)) root.style.setProperty(name, value);
}

function rgb(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

function css(color) {
  return `rgb(${color.map(Math.round).join(" ")})`;
}

function mixed(color, end) {
  return color.map((part, i) => part + (end[i] - part) / 10);
}

function luminance(color) {
  const [r, g, b] = color.map((part) => ((part / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}
