// The live connection. Whatever ends it, it comes back by itself; only a lost login needs a person.

const SILENCE = 75_000; // the server sends the state at least every 30 s
const PAUSE = 3_000;

/** The event of the document that tells of each push, for parts of a page that do not hold the connection. */
export const PUSHED = "heed:pushed";

/**
 * Follow a survey. `handlers`: results(push), state("live" | "connecting" | "away" | "logged-out" | "not-yours").
 */
export function follow(survey, handlers) {
  const address = `/api/v1/surveys/${survey}`;
  let source;
  let watchdog;

  function open() {
    source = new EventSource(`${address}/live`);
    source.addEventListener("results", (event) => {
      watch();
      handlers.state("live");
      handlers.results(JSON.parse(event.data));
      document.dispatchEvent(new Event(PUSHED));
    });
    source.addEventListener("away", () => {
      watch();
      handlers.state("away");
    });
    source.addEventListener("error", () => {
      handlers.state("connecting");
      // After an error status a browser gives up, so the next try is ours.
      if (source.readyState === EventSource.CLOSED) again();
    });
    watch();
  }

  function watch() {
    clearTimeout(watchdog);
    watchdog = setTimeout(again, SILENCE);
  }

  async function again() {
    source.close();
    clearTimeout(watchdog);
    handlers.state("connecting");
    const status = await fetch(`${address}/results`).then((answer) => answer.status, () => 0);
    const shut = { 401: "logged-out", 403: "not-yours", 404: "not-yours" }[status];
    if (shut) handlers.state(shut);
    else if (status === 503) handlers.state("away");
    if (!shut) setTimeout(open, PAUSE);
  }

  open();
}
