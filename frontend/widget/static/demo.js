// The demo: copies snippets, opens the widget from a button of the page, and shows the events that the page hears.

const log = document.getElementById("log");
const said = document.getElementById("said");

for (const type of ["heed:ready", "heed:height", "heed:submit"]) {
  document.addEventListener(type, ({ detail }) => {
    const line = document.createElement("p");
    line.textContent = `${type} ${JSON.stringify(detail)}`;
    log.append(line);
    log.scrollTop = log.scrollHeight;
  });
}

const open = document.getElementById("open");
open.hidden = false;
open.addEventListener("click", () => window.Heed?.open());

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue; // only pages that came safely may write to it
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = said.textContent = "Copied";
    } catch {
      button.textContent = said.textContent = "Select it and copy";
    }
  });
}
