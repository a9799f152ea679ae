// Single answers: as an entry of the list, and whole, with what people say of the decision.

import { byId, el, percent, say, time } from "./dom.js";
import { keys } from "./keys.js";
import { inShort, marked, sentences, sums } from "./reading.js";
import { giveVerdict } from "./verdict.js";
import { DECISIONS, JUDGES, LABELS, REASONS, SIGNS, language, linesOf, suspicion, ticketText, whyHere } from "./words.js";

/** An option of the vote, by its key. */
export function option(options, key) {
  const found = options.find((each) => each.key === key);
  return found ? `${found.face} ${found.label}`.trim() : key;
}

/** What became of an answer's ticket; nothing when it has none. */
export function ticket(item) {
  if (!item.selected) return null;
  const text = ticketText(item.ticket);
  const failed = item.ticket?.state === "failed";
  return item.ticket?.url
    ? el("a", { href: item.ticket.url }, text)
    : el("span", { class: failed ? "tag tag--alarm" : "soft" }, text);
}

const noWords = ({ erased_at: at }) =>
  el("p", { class: "soft" }, ...(at ? ["Erased, ", when(at), "."] : ["Answered without words."]));

const when = (at) => el("time", { datetime: at }, time(at));

/** An answer's words, with what moved its rating marked in them. */
export const wordsRead = (item) => (item.comment ? marked(item.comment, item.reading) : noWords(item));

/** What made an answer suspicious, as a mark with its reasons; nothing when it is not. */
const suspicious = ({ flags }) =>
  flags.length ? el("span", { class: "tag", title: suspicion(flags) }, "Suspicious") : null;

/** What the words say, with its sign. */
const sign = (label) =>
  el("span", { class: `sign sign--${label}` }, el("span", { class: "sign__mark", "aria-hidden": "true" }, SIGNS[label]), LABELS[label]);

/** A rating, in few words. */
export const stars = (rating) => el("span", {}, el("span", { "aria-hidden": "true" }, "★ "), `${rating} of 5`);

/** The list's entry for an answer. */
export function entry(item, options) {
  return el(
    "li",
    { "data-id": item.id },
    el(
      "p",
      { class: "row small soft" },
      item.comment && sign(item.label),
      item.vote && el("span", {}, option(options, item.vote)),
      item.rating && stars(item.rating),
      suspicious(item),
      el("time", { class: "answers__time number", datetime: item.received_at }, time(item.received_at)),
    ),
    item.comment ? el("p", { class: "words" }, item.comment) : noWords(item),
    el("p", { class: "row small" }, el("a", { href: `/feedback/${item.id}` }, "Details"), ticket(item)),
  );
}

// Each in a direction of its own, so that no name can turn the address round.
const from = ({ name, email }) => [name && el("bdi", {}, name), name && email && ", ", email && el("bdi", {}, email)];

/** Where an answer came from. Anybody may have written it, so only an address of the web becomes a link. */
function origin({ context }) {
  if (!context) return [];
  const { url, app, ref, language: shown } = context;
  const link = () => el("a", { href: url, rel: "noreferrer noopener nofollow", dir: "ltr" }, url);
  return [
    ...(url ? [["Page", /^https?:\/\//i.test(url) ? link() : el("bdi", {}, url)]] : []),
    ...(app ? [["App", el("bdi", {}, app)]] : []),
    ...(ref ? [["Reference", el("bdi", {}, ref)]] : []),
    ...(shown ? [["Form in", language(shown)]] : []),
  ];
}

/** What the customer saw, which may read otherwise by now. */
const question = ({ survey, asked: { question: words, version } }) =>
  el("a", { href: `/surveys/${survey}/versions/${version}` }, words);

function sender({ contact, customer, erased_at: erased }) {
  if (erased) return "erased";
  return contact ? from(contact) : customer ? "no contact given" : "anonymous";
}

function verdicts(item, judge, judges) {
  const choice = (needsPerson, text) => {
    const key = needsPerson ? "Y" : "N";
    const attributes = { class: "button button--quiet", "data-needs": String(needsPerson), "aria-keyshortcuts": key };
    const button = el("button", attributes, text);
    button.addEventListener("click", () => judge(needsPerson));
    return button;
  };
  const no = item.decision === "ticket" ? "a false alarm" : "it needs nobody";
  const said = ({ needs_person: needs, judge: by, at }) =>
    el(
      "li",
      {},
      `${JUDGES[by] ?? by}: ${needs ? "it needs a person" : no} `,
      el("time", { class: "soft", datetime: at }, time(at)),
    );
  const choices = item.selected
    ? [choice(false, "This was a false alarm"), choice(true, "This needed a person")]
    : [choice(true, "This needs a person: open a ticket"), choice(false, "This needs nobody")];
  return [
    ...(judges ? [el("div", { class: "row" }, ...choices)] : []),
    item.verdicts.length
      ? el("ul", { class: "verdicts small" }, ...item.verdicts.map(said))
      : el("p", { class: "small soft" }, "Nobody has said anything yet. Verdicts measure triage and teach it."),
  ];
}

/** What somebody may want to know of an answer: its words with its facts, then cards about what was made of it. */
function whole(item, options) {
  const { contact, reading } = item;
  const reasons = item.reasons.map((reason) => REASONS[reason] ?? reason).join("; ");
  const none = item.flags.length ? "it came in a suspicious way" : "nothing asks for a ticket";
  const topics = reading?.topics ?? [];
  const facts = [
    ["Received", time(item.received_at)],
    ...(item.asked ? [["Asked", question(item)]] : []),
    ["Vote", item.vote ? option(options, item.vote) : "none"],
    ["Rating", item.rating ? `${item.rating} of 5` : "none"],
    ["From", sender(item)],
    ...(item.customer ? [["Customer", el("bdi", {}, item.customer)]] : []),
    ...(item.erased_at ? [] : [["Reply", contact?.reply ? "asked for" : "not asked for"]]),
    ["Sent by", { form: "the form", demo: "nobody: it is made up" }[item.source] ?? "the API"],
    ...origin(item),
    ...(item.flags.length ? [["Suspicious", suspicion(item.flags)]] : []),
  ];
  const decision = [
    ["Decision", item.decision ? DECISIONS[item.decision] : "made by an earlier version"],
    ["Selected", item.selected ? "yes" : "no"],
    ["Because", reasons || none],
    ...(item.queued ? [["In review", whyHere(item).join("; ") || "waits for a verdict"]] : []),
    ["Priority", item.priority ?? "none"],
    ...(topics.length ? [["Speaks of", topics.join(", ")]] : []),
    ["Lines", linesOf(item.policy) ?? "not known"],
    ["Policy", item.policy],
    ["Ticket", ticket(item) ?? (item.queued ? "none yet" : "none")],
    ...(item.ticket ? [["Attempts", String(item.ticket.attempts)]] : []),
    ...(item.ticket?.last_error ? [["Last error", item.ticket.last_error]] : []),
  ];
  const judgement = [
    ["Reads", LABELS[item.label].toLowerCase()],
    ["Negative", item.p_negative === null ? "no words to judge" : `${Math.round(item.p_negative * 100)} % likely`],
    ...(reading?.language ? [["Language", `${language(reading.language)}, not English`]] : []),
    ...(reading && reading.rating !== null ? [["Known words", percent(reading.coverage)]] : []),
    ...(reading?.truncated ? [["Read", "only the beginning; the text is longer than what is scored"]] : []),
    ["Compound", item.compound.toFixed(3)],
    ["Scorer", item.scorer],
    ...Object.entries(item.scores)
      .filter(([name]) => name !== "compound")
      .map(([name, value]) => [name, JSON.stringify(value)]),
  ];
  const card = (title, ...content) =>
    el("section", { class: "card stack", "aria-label": title }, el("h2", {}, title), ...content);
  const rated = reading && reading.rating !== null;
  const answer = [
    el(
      "section",
      { class: "card stack", "aria-label": "The answer" },
      wordsRead(item),
      inShort(item.comment, reading),
      list(facts),
    ),
  ];
  const rest = [
    card("Decision", list(decision)),
    ...(rated && reading.drivers.length ? [card("Why it reads so", sums(item.comment, reading))] : []),
    card("Sentiment", list(judgement)),
    ...(rated && reading.sentences.length > 1 ? [card("Sentences", sentences(item.comment, reading))] : []),
  ];
  return { answer, rest };
}

const list = (pairs) =>
  el("dl", { class: "facts" }, ...pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

/** The page of one answer. */
export function answerPage({ answer, options, judges }) {
  const status = byId("said");
  let busy = false;

  function show() {
    const shown = whole(answer, options);
    byId("answer").replaceChildren(...shown.answer);
    byId("verdict").replaceChildren(...verdicts(answer, judge, judges));
    byId("rest").replaceChildren(...shown.rest);
  }

  async function judge(needsPerson) {
    if (busy || !judges) return;
    busy = true;
    const { answer: after, problem } = await giveVerdict(answer.id, needsPerson);
    busy = false;
    status.className = problem ? "error" : "small";
    if (problem) {
      status.replaceChildren(problem);
      return;
    }
    const opened = needsPerson && !answer.selected;
    answer = after;
    show();
    byId("verdict").querySelector(`[data-needs="${needsPerson}"]`).focus();
    say(status, opened ? "Thank you. The ticket is on its way." : "Thank you. Your verdict is kept.");
  }

  const go = (id) => () => byId(id)?.click();
  keys({ j: go("older"), k: go("newer"), y: () => judge(true), n: () => judge(false) });
  show();
}
