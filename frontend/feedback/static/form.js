// The form with scripts: it counts characters and sends without leaving the page; what cannot be sent waits, and is sent
// again by itself. Without scripts the form works as it is, and where a script fails the browser sends it.

import { localise } from "./page.js";
import { answerOf, deliver, drop, keep } from "./unsent.js";

const COUNT_FROM = 0.8; // of the longest comment

wire();

function wire() {
  const form = document.getElementById("form");
  if (!form) return;
  const button = form.querySelector("button[type=submit]");
  const change = form.querySelector("[data-change]");
  let delivery = null;
  let answer = null;
  count(form);

  form.addEventListener("submit", (event) => {
    if (event.submitter?.name === "again") return; // the same form in another language
    event.preventDefault();
    if (delivery) {
      delivery.attempt();
      return;
    }
    answer = answerOf(form);
    const isKept = keep(answer);
    hold(true); // what is sent is what was written when it was sent
    say("sending");
    delivery = deliver(answer, {
      waits: (many) => say(many ? "many" : !isKept ? "unkept" : navigator.onLine ? "away" : "offline"),
      taken: (location) => window.location.replace(location),
      refused: show,
    });
  });
  change.addEventListener("click", () => {
    delivery.end();
    drop(answer);
    delivery = null;
    hold(false);
    say("changing");
    form.elements.comment.focus();
  });

  function hold(held) {
    if (held) button.focus(); // or the focus would be lost
    for (const part of form.querySelectorAll("[data-held]")) part.inert = held;
  }

  /** Show what is going on. */
  function say(state) {
    for (const line of form.querySelectorAll("[data-when]")) line.hidden = line.dataset.when !== state;
    const busy = state === "sending";
    form.querySelector("[data-idle]").hidden = busy;
    form.querySelector("[data-busy]").hidden = !busy;
    change.hidden = busy || state === "changing";
  }
}

/** Put the page that the server answered with in the place of this one. */
function show(page) {
  const main = page.querySelector("main");
  const first = main.querySelector("[autofocus]") ?? main.querySelector("h1");
  first.removeAttribute("autofocus"); // it is for pages that are loaded
  first.tabIndex = -1;
  document.title = page.title;
  document.querySelector("main").replaceWith(main);
  document.querySelector("footer").replaceWith(page.querySelector("footer")); // its switch belongs to what is shown
  localise(main);
  wire();
  first.focus();
  scrollTo(0, 0);
  dispatchEvent(new Event("heed:page"));
}

function count(form) {
  const { comment } = form.elements;
  const line = document.getElementById("count");
  const most = Number(comment.dataset.most);
  const number = new Intl.NumberFormat(document.documentElement.lang);
  const update = () => {
    const left = most - comment.value.length;
    line.hidden = comment.value.length < most * COUNT_FROM;
    line.classList.toggle("count--over", left < 0);
    line.querySelector("[data-left]").textContent = number.format(left);
    const described = (comment.getAttribute("aria-describedby") ?? "").split(" ").filter((id) => id && id !== "count");
    if (!line.hidden) described.push("count");
    if (described.length) comment.setAttribute("aria-describedby", described.join(" "));
    else comment.removeAttribute("aria-describedby");
  };
  comment.addEventListener("input", update);
  update();
}
