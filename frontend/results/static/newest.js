// The newest answers: entries that did not change stay in place, so that neither focus nor reading is disturbed.

import { entry } from "./answer.js";
import { byId } from "./dom.js";

const MOST = 20;

export class Newest {
  #items = new Map();

  /** Those of `items` that are new here or look different. */
  changed(items) {
    return items.filter((item) => this.#items.get(item.id)?.text !== JSON.stringify(item));
  }

  show(items, options) {
    for (const item of this.changed(items)) {
      const element = entry(item, options);
      this.#items.get(item.id)?.element.replaceWith(element);
      this.#items.set(item.id, { text: JSON.stringify(item), element });
    }
    const ids = [...this.#items.keys()].sort().reverse(); // ids begin with the time
    for (const id of ids.splice(MOST)) {
      this.#items.get(id).element.remove();
      this.#items.delete(id);
    }
    const list = byId("newest");
    ids.forEach((id, place) => {
      const { element } = this.#items.get(id);
      if (list.children[place] !== element) list.insertBefore(element, list.children[place] ?? null);
    });
  }
}
