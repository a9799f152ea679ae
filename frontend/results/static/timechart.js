// Stacked bars over time, by Chart.js: with their sum in a sentence and as a table. Colours come from the style sheet;
// what is unhappy is hatched, so that no colour alone tells it.

import { count, el, percent, plural, svg } from "./dom.js";

const all = new Set();

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => all.forEach((each) => each.redraw()));
addEventListener("beforeprint", () => all.forEach((each) => each.resize()));
addEventListener("afterprint", () => all.forEach((each) => each.resize()));

/** How a bucket is named, briefly on the axis and whole in words. */
export function names(group, zone) {
  const format = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options });
  const brief = {
    hour: format({ hour: "2-digit", minute: "2-digit" }),
    day: format({ day: "numeric", month: "short" }),
    week: format({ day: "numeric", month: "short" }),
    month: format({ month: "short", year: "2-digit" }),
  }[group];
  const whole = {
    hour: format({ weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }),
    day: format({ weekday: "short", day: "numeric", month: "short", year: "numeric" }),
    week: format({ day: "numeric", month: "short", year: "numeric" }),
    month: format({ month: "long", year: "numeric" }),
  }[group];
  const said = (bucket) => whole.format(new Date(bucket.at));
  return {
    brief: (bucket) => brief.format(new Date(bucket.at)),
    whole: (bucket) => (group === "week" ? `Week from ${said(bucket)}` : said(bucket)),
  };
}

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A series' fill; hatched ones show lines of the ground across it. */
function fill(context, { color, hatched }) {
  if (!hatched) return style(color);
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const pen = tile.getContext("2d");
  pen.fillStyle = style(color);
  pen.fillRect(0, 0, 6, 6);
  pen.strokeStyle = style("--surface");
  pen.lineWidth = 1.2;
  pen.beginPath();
  for (const shift of [-6, 0, 6]) {
    pen.moveTo(shift, 6);
    pen.lineTo(shift + 6, 0);
  }
  pen.stroke();
  return context.createPattern(tile, "repeat");
}

function swatch({ kind, hatched }) {
  const lines = svg("path", { class: "swatch__lines", d: "M0 12 12 0M-3 3 3 -3M9 15 15 9M-3 9 9 -3M3 15 15 3" });
  const square = svg("rect", { class: `series ${kind}`, width: 12, height: 12 });
  return svg("svg", { class: "swatch", viewBox: "0 0 12 12", "aria-hidden": "true" }, square, hatched ? lines : null);
}

/**
 * A chart in `place`. `series`: [{ key, name, kind, color, hatched, of(bucket) }], bottom first. `title` is its name,
 * `empty()` gives the elements that stand there when nothing is to be drawn.
 */
export class TimeChart {
  #place;
  #series;
  #canvas = el("canvas", { role: "img" });
  #summary = el("p", { class: "small" });
  #details = el("details", { class: "as-table" }, el("summary", { class: "small" }, "As a table"));
  #scroll;
  #title;
  #empty;
  #chart = null;
  #shown = null;

  constructor(place, { title, empty, series }) {
    this.#place = place;
    this.#title = title;
    this.#empty = empty;
    this.#series = series;
    const region = { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, as a table` };
    this.#scroll = el("div", region);
    this.#details.append(this.#scroll);
    this.#details.addEventListener("toggle", () => this.#showTable());
    all.add(this);
  }

  /** Show an overview's buckets. */
  show({ buckets, group, tz }) {
    const named = names(group, tz);
    this.#shown = { buckets, named, group };
    const sums = this.#series.map((each) => buckets.reduce((sum, bucket) => sum + each.of(bucket), 0));
    const total = sums.reduce((sum, number) => sum + number, 0);
    if (!total) {
      this.#drop();
      this.#place.replaceChildren(...this.#empty());
      return;
    }
    const whole = (bucket) => this.#series.reduce((sum, each) => sum + each.of(bucket), 0);
    const most = buckets.reduce((best, bucket) => (whole(bucket) > whole(best) ? bucket : best));
    const shares = this.#series.map((each, index) => `${each.name} ${percent(sums[index] / total)}`).join(", ");
    const peak = buckets.length > 1 ? ` Most: ${named.whole(most)}, ${count(whole(most))}.` : "";
    this.#summary.textContent = `${plural(total, "answer", "answers")}: ${shares}.${peak}`;
    this.#canvas.setAttribute("aria-label", `${this.#title}: ${this.#summary.textContent}`);
    if (!this.#canvas.isConnected) {
      const legend = this.#series.map((each) => el("span", {}, swatch(each), each.name));
      this.#place.replaceChildren(
        this.#summary,
        el("div", { class: "plot" }, this.#canvas),
        el("p", { class: "legend small", "aria-hidden": "true" }, ...legend),
        this.#details,
      );
    }
    this.#draw();
    this.#showTable();
  }

  /** Again, in the colours of now. */
  redraw() {
    if (!this.#chart) return;
    this.#drop();
    this.#draw();
  }

  resize() {
    this.#chart?.resize();
  }

  /** Never again. */
  remove() {
    this.#drop();
    all.delete(this);
  }

  #drop() {
    this.#chart?.destroy();
    this.#chart = null;
  }

  #draw() {
    if (!window.Chart) return; // it could not be loaded; the sentence and the table say the same
    const { buckets, named } = this.#shown;
    const labels = buckets.map(named.brief);
    const values = this.#series.map((each) => buckets.map((bucket) => each.of(bucket)));
    if (this.#chart) {
      this.#chart.data.labels = labels;
      this.#chart.data.datasets.forEach((set, index) => (set.data = values[index]));
      this.#chart.update();
      return;
    }
    const context = this.#canvas.getContext("2d");
    const datasets = this.#series.map((each, index) => ({
      label: each.name,
      data: values[index],
      backgroundColor: fill(context, each),
      borderColor: style("--surface"),
      borderWidth: { top: 1 },
      borderSkipped: false,
      maxBarThickness: 48,
      categoryPercentage: 0.9,
      barPercentage: 0.9,
    }));
    const ticks = { color: style("--ink-soft"), font: { family: getComputedStyle(document.body).fontFamily, size: 12 } };
    this.#chart = new window.Chart(this.#canvas, {
      type: "bar",
      data: { labels, datasets },
      options: {
        animation: false, // live figures change often, and nobody needs to see them move
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        scales: {
          x: {
            stacked: true,
            grid: { display: false },
            border: { color: style("--line-strong") },
            ticks: { ...ticks, maxRotation: 0, autoSkipPadding: 16 },
          },
          y: {
            stacked: true,
            beginAtZero: true,
            border: { display: false },
            grid: { color: style("--line") },
            ticks: { ...ticks, precision: 0, maxTicksLimit: 6 },
          },
        },
        plugins: {
          legend: { display: false },
          tooltip: { callbacks: { title: ([item]) => this.#shown.named.whole(this.#shown.buckets[item.dataIndex]) } },
        },
      },
    });
  }

  // Newest first; empty times are left out. Made only when it is open.
  #showTable() {
    if (!this.#details.open || !this.#shown) return;
    const { buckets, named, group } = this.#shown;
    const when = { hour: "Hour", day: "Day", week: "Week", month: "Month" }[group];
    const rows = buckets.filter((bucket) => this.#series.some((each) => each.of(bucket))).reverse();
    const heads = [when, ...this.#series.map((each) => each.name)];
    this.#scroll.replaceChildren(
      el(
        "table",
        { class: "small number" },
        el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
        el(
          "tbody",
          {},
          ...rows.map((bucket) =>
            el(
              "tr",
              {},
              el("th", { scope: "row" }, named.whole(bucket)),
              ...this.#series.map((each) => el("td", {}, count(each.of(bucket)))),
            ),
          ),
        ),
      ),
    );
  }
}
