// What every page for customers does with scripts: times are shown in the visitor's own zone, and an answer that was sent
// from this device before and not heard of is sent again, in the background: its words are not shown, since this may be
// somebody else's turn.

import { deliver, drop, kept } from "./unsent.js";

// The page's language, as it is spoken where the visitor is.
const { lang } = document.documentElement;
const local = navigator.languages.find((wanted) => wanted.split("-")[0] === lang) ?? lang;
const format = new Intl.DateTimeFormat(local, { dateStyle: "long", timeStyle: "short" });

/** Show the times in `part` in the visitor's zone. */
export function localise(part) {
  for (const time of part.querySelectorAll("time[datetime]")) {
    time.textContent = format.format(new Date(time.dateTime));
  }
}

function sendUnsent() {
  const place = document.getElementById("unsent");
  const [answer] = place ? kept(place.dataset.survey) : [];
  if (!answer) return;
  const time = place.querySelector("time");
  time.dateTime = new Date(answer.at).toISOString();
  const say = (state) => {
    for (const line of place.querySelectorAll("[data-is]")) line.hidden = !line.dataset.is.split(" ").includes(state);
  };
  const delivery = deliver(answer, {
    waits: () => say("waiting"),
    taken: (location) => {
      place.querySelector("a").href = location;
      say("taken");
    },
    refused: (page) => {
      place.querySelector("[data-why]").textContent = page.querySelector("h1, h2").textContent;
      const words = answer.fields.find(([field]) => field === "comment")?.[1] ?? "";
      place.querySelector("textarea").value = words;
      say(words ? "refused" : "refused-empty");
    },
  });
  place.querySelector("button").addEventListener("click", () => {
    delivery.end();
    drop(answer);
    place.hidden = true;
  });
  say("waiting");
  place.hidden = false;
}

sendUnsent();
localise(document);
