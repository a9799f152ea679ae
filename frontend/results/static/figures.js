// A period's figures beside those of the period before: the tiles, the reasons, the telling words, the tickets.

import { count, el, figure, percent, plural } from "./dom.js";
import { REASONS } from "./words.js";

const TELLING = 3; // answers
const ONE = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** A duration in the largest unit that says enough. */
export function duration(seconds) {
  const least = Math.max(seconds, 0);
  if (least < 1) return "under 1 s";
  if (least < 90) return `${Math.round(least)} s`;
  if (least < 90 * 60) return `${Math.round(least / 60)} min`;
  if (least < 36 * 3600) return `${Math.round(least / 3600)} h`;
  return `${Math.round(least / 86_400)} days`;
}

/** Where the period's answers are that fit `asked`: by its days, or, where it does not begin and end with a day, by its
 * moments. */
function answersOf({ survey, tz, first_day: from, last_day: to, now }, asked) {
  const { since, until } = now;
  const days = [since, until].every((moment) => moment.slice(11, 19) === "00:00:00");
  return `/feedback?${new URLSearchParams({ survey, ...asked, ...(days ? { from, to, tz } : { since, until }) })}`;
}

/** `now` beside `before`: which way it went, in words, and what it was. `more` and `less` are the words, `tone` says
 * whether more is good (1), bad (-1) or neither (0), `step` the smallest difference that is one. */
function change(now, before, { show, differ = show, more = "more", less = "fewer", tone = 0, step = 1 }) {
  if (before === null) return el("span", { class: "soft" }, "nothing to compare with");
  if (now === null) return el("span", { class: "soft" }, `${show(before)} before`);
  const by = (Math.round(now / step) - Math.round(before / step)) * step; // of what is shown
  const way = Math.sign(by);
  const kind = way * tone > 0 ? "change change--good" : way * tone < 0 ? "change change--bad" : "change";
  const words = way ? `${differ(Math.abs(by))} ${way > 0 ? more : less}` : "the same";
  const arrow = el("span", { "aria-hidden": "true" }, { "-1": "▼ ", 0: "= ", 1: "▲ " }[way]);
  return [el("span", { class: kind }, arrow, words), " ", el("span", { class: "soft" }, `(${show(before)} before)`)];
}

const tile = (name, value, ...about) =>
  el(
    "div",
    { class: "tile card" },
    el("dt", { class: "small soft" }, name),
    el("dd", { class: "tile__value number" }, value),
    el("dd", { class: "small tile__change number" }, ...about),
  );

const none = (text) => el("span", { class: "soft" }, text);

/** The tiles. */
export function tiles(found) {
  const { now, before, options, open_tickets: open, oldest_waiting_seconds: waiting } = found;
  const behind = (asked, text) => el("a", { href: answersOf(found, asked) }, text);
  const points = (share) => `${count(Math.round(share * 100))} ${Math.round(share * 100) === 1 ? "point" : "points"}`;
  const shares = { show: percent, differ: points, less: "less", step: 0.01 };
  const voted = (figures) => options.reduce((sum, option) => sum + figures.votes[option.key], 0);
  const marked = options.filter((option) => option.unhappy);
  const chosen = marked.length ? marked : [options.at(-1)];
  const votes = (figures) => chosen.reduce((sum, option) => sum + figures.votes[option.key], 0);
  const share = (figures) => (voted(figures) ? votes(figures) / voted(figures) : null);
  const ticket = [now, before].map((figures) => figures.tickets.seconds_to_ticket);
  const solved = [now, before].map((figures) => figures.tickets.seconds_to_solution);
  const times = { show: duration, more: "longer", less: "shorter", tone: -1 };
  const stars = (rating) => `${ONE.format(rating)}`;
  return [
    tile("Answers", behind({}, count(now.answers)), change(now.answers, before.answers, { show: count })),
    tile(
      "Negative, of the words read",
      now.negative_share === null ? none("no words") : behind({ label: "negative" }, percent(now.negative_share)),
      change(now.negative_share, before.negative_share, { ...shares, tone: -1 }),
    ),
    tile(
      chosen.length > 1 ? "Votes: the unhappy options" : `Votes: ${chosen[0].face} ${chosen[0].label}`,
      share(now) === null
        ? none("no votes")
        : chosen.length > 1
          ? percent(share(now))
          : behind({ vote: chosen[0].key }, percent(share(now))),
      change(share(now), share(before), { ...shares, tone: marked.length ? -1 : 0 }),
    ),
    tile(
      "Rating, on average",
      now.average_rating === null ? none("no ratings") : `${stars(now.average_rating)} of 5`,
      change(now.average_rating, before.average_rating, { show: stars, more: "higher", less: "lower", tone: 1, step: 0.1 }),
    ),
    tile(
      "Selected for a ticket",
      behind({ selected: true }, count(now.selected)),
      change(now.selected, before.selected, { show: count, tone: -1 }),
    ),
    tile(
      "Until the ticket is there",
      ticket[0] === null ? none("no tickets") : duration(ticket[0]),
      change(...ticket, times),
    ),
    tile(
      "Until it is solved",
      solved[0] === null ? none("none solved") : duration(solved[0]),
      change(...solved, times),
    ),
    tile(
      "Open tickets now",
      count(open),
      waiting === null ? none("no answer waits for its ticket") : `oldest without a ticket: ${duration(waiting)}`,
    ),
  ];
}

/** Why answers were selected. */
export function reasons(found) {
  const { now } = found;
  const { looked_at: lookedAt } = now.tickets;
  if (!lookedAt) {
    const why = now.selected
      ? "There are too many answers to look at. Choose a shorter period."
      : "No answer of this period asks for a ticket.";
    return [el("p", { class: "soft" }, why)];
  }
  const shown = Object.entries(found.reasons).filter(([, number]) => number);
  shown.sort(([, one], [, other]) => other - one);
  const named = (reason) => {
    const name = REASONS[reason][0].toUpperCase() + REASONS[reason].slice(1);
    return el("a", { href: answersOf(found, { selected: true, reason }) }, name);
  };
  return [
    el("div", { class: "figures" }, ...shown.map(([reason, number]) => figure(named(reason), number, lookedAt, "range"))),
    el(
      "p",
      { class: "small soft" },
      lookedAt < now.selected
        ? `Of the ${plural(lookedAt, "answer that was", "newest answers that were")} looked at; `
        : `Of ${plural(lookedAt, "selected answer", "selected answers")}; `,
      "an answer may have more than one reason.",
    ),
  ];
}

/** The words that moved negative answers most, each a way to the answers that say it. */
export function words(found) {
  const { words: told, negatives_looked_at: lookedAt } = found;
  if (!told.length) {
    const why = lookedAt
      ? "The negative answers of this period have no words in common that tell why."
      : "No answer of this period reads negative.";
    return [el("p", { class: "soft" }, why)];
  }
  const line = ({ word, negated, answers, share, share_before: before }) => {
    // Of a few answers one more or less says nothing.
    const differs = before !== null && Math.abs(share - before) * lookedAt >= TELLING;
    const trend = !differs ? "" : share > before ? "▲ more often" : "▼ less often";
    return el(
      "tr",
      {},
      el(
        "th",
        { scope: "row" },
        el("a", { href: answersOf(found, { label: "negative", q: word }) }, negated ? el("span", { class: "soft" }, "not … ") : null, el("bdi", {}, word)),
      ),
      el("td", {}, count(answers)),
      el("td", {}, percent(share)),
      el("td", { class: "soft" }, before === null ? "–" : percent(before)),
      el("td", { class: "soft" }, trend),
    );
  };
  const head = ["Word", "Answers", "Share", "Before", "Trend"].map((name) => el("th", { scope: "col" }, name));
  return [
    el(
      "div",
      { class: "scroll scroll--whole", tabindex: "0", role: "region", "aria-label": "Telling words, as a table" },
      el(
        "table",
        { class: "small number words-table" },
        el("thead", {}, el("tr", {}, ...head)),
        el("tbody", {}, ...told.map(line)),
      ),
    ),
    el(
      "p",
      { class: "small soft" },
      `What moved the scores of ${plural(lookedAt, "negative answer", "negative answers")} down most, `,
      "the strongest first. A word leads to the answers that say it.",
    ),
  ];
}

/** What became of the period's tickets, and what waits in the queue. */
export function desk({ now, oldest_queued_seconds: queued }) {
  const { tickets, selected } = now;
  const all = tickets.looked_at < selected ? ` of the newest ${count(tickets.looked_at)}` : "";
  const lines = [
    [`Opened at the desk${all}`, count(tickets.opened)],
    [`Solved by now${all}`, count(tickets.solved)],
    ...(queued === null ? [] : [["Oldest in the queue, of all surveys", queued ? duration(queued) : "none waits"]]),
  ];
  return [
    el(
      "div",
      { class: "figures" },
      ...lines.map(([name, value]) =>
        el(
          "div",
          { class: "figure__line" },
          el("span", {}, name),
          el("span", { class: "figure__count number" }, value),
        ),
      ),
    ),
  ];
}
