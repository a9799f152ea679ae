// What every page for customers does with scripts: times are shown in the visitor's own zone. Without, they are in UTC.

// The page's language, as it is spoken where the visitor is.
const { lang } = document.documentElement;
const local = navigator.languages.find((wanted) => wanted.split("-")[0] === lang) ?? lang;
const format = new Intl.DateTimeFormat(local, { dateStyle: "long", timeStyle: "short" });

/** Show the times in `part` in the visitor's zone. */
export function localise(part) {
  for (const time of part.querySelectorAll("time")) {
    time.textContent = format.format(new Date(time.dateTime));
  }
}

localise(document);
