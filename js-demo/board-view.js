/**
 * The board on the page. `render` brings the page to a given state, moving the elements that are there already, and
 * animates the difference.
 */

import { ghostOf } from "./board-drag.js";
import { element, put, write } from "./page.js";

/** @typedef {import("./board-data.js").Column} Column */
/** @typedef {import("./board-data.js").Card} Card */

/**
 * @typedef {object} Actions what the page does on behalf of a person
 * @property {(card: number) => void} openCard
 * @property {(column: number) => void} openColumn
 * @property {(column: number, title: string) => void} addCard
 * @property {() => void} addColumn
 */

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const GLIDE = { duration: 240, easing: "cubic-bezier(0.2, 0.8, 0.2, 1)" };

export class BoardView {
  /** @type {Map<number, ReturnType<typeof makeColumn>>} */
  #columns = new Map();
  /** @type {Map<number, ReturnType<typeof makeCard>>} */
  #cards = new Map();
  #board;
  #actions;
  #more;

  /**
   * @param {HTMLElement} board
   * @param {Actions} actions
   */
  constructor(board, actions) {
    this.#board = board;
    this.#actions = actions;
    this.#more = element("button", { type: "button", class: "add-column", on: { click: actions.addColumn } }, "+ Add a column");
  }

  /**
   * @param {Column[]} columns
   * @param {object} how
   * @param {number | null} how.held the card that is carried or lifted
   * @param {Set<number>} how.touched cards that somebody else has just changed
   * @param {boolean} how.first nothing was shown before, so nothing is new
   */
  render(columns, { held, touched, first }) {
    const before = new Map([...this.#cards].map(([id, { face }]) => [id, this.#where(face)]));
    const focused = document.activeElement;

    const shown = new Set(columns.flatMap(({ id, cards }) => [id, ...cards.map((card) => card.id)]));
    for (const [id, { item, face }] of this.#cards) {
      if (shown.has(id)) continue;
      if (!calm.matches) fadeOut(face, /** @type {any} */ (before.get(id)).box);
      item.remove();
      this.#cards.delete(id);
    }
    for (const [id, { section }] of this.#columns) {
      if (shown.has(id)) continue;
      section.remove();
      this.#columns.delete(id);
    }
    columns.forEach((column, index) => {
      const made = this.#column(column);
      put(this.#board, made.section, index);
      column.cards.forEach((card, place) => put(made.list, this.#card(card, column).item, place));
    });
    put(this.#board, this.#more, columns.length);

    if (focused instanceof HTMLElement && focused !== document.activeElement && focused.isConnected) {
      focused.focus({ preventScroll: held === null }); // moving an element takes the focus from it
    }
    for (const [id, { face }] of this.#cards) {
      face.classList.toggle("held", id === held);
      if (touched.has(id)) restart(face, "touched");
      if (!first) this.#animate(face, before.get(id), id === held);
    }
  }

  /** @param {number} id @returns {HTMLElement | undefined} */
  face(id) {
    return this.#cards.get(id)?.face;
  }

  /** @param {number} id only this card is reached by Tab; the arrow keys lead to the others */
  reachable(id) {
    for (const [other, { face }] of this.#cards) face.tabIndex = other === id ? 0 : -1;
  }

  /**
   * The place on the board under a point, when the cards are as they are without the carried one.
   *
   * @param {{x: number, y: number}} point
   * @param {number} held
   * @param {Column[]} columns
   * @returns {{column: number, before: number | null} | null}
   */
  placeAt(point, held, columns) {
    /** @type {{column: Column, distance: number} | null} */
    let nearest = null;
    for (const column of columns) {
      const box = this.#columns.get(column.id)?.section.getBoundingClientRect();
      if (!box) continue;
      const distance = Math.max(box.left - point.x, point.x - box.right, 0);
      if (!nearest || distance < nearest.distance) nearest = { column, distance };
    }
    if (!nearest) return null;
    const list = /** @type {any} */ (this.#columns.get(nearest.column.id)).list;
    const y = point.y - list.getBoundingClientRect().top + list.scrollTop;
    // By their places in the layout: where an animation shows them at the moment is not where they are.
    const following = nearest.column.cards.find(({ id }) => {
      const item = this.#cards.get(id)?.item;
      return id !== held && item && y < item.offsetTop + item.offsetHeight / 2;
    });
    return { column: nearest.column.id, before: following?.id ?? null };
  }

  /**
   * Lets a copy of a card glide to where the card is, then shows the card.
   *
   * @param {HTMLElement} ghost
   * @param {HTMLElement} face
   */
  land(ghost, face) {
    const box = face.getBoundingClientRect();
    const to = `translate(${box.left}px, ${box.top}px)`;
    const flight = ghost.animate([{ transform: getComputedStyle(ghost).transform }, { transform: to }], calm.matches ? 0 : GLIDE);
    face.classList.add("landing");
    const done = () => {
      ghost.remove();
      face.classList.remove("landing");
    };
    flight.finished.then(done, done);
  }

  /** @param {HTMLElement} face */
  #where(face) {
    return { list: face.closest(".cards"), box: face.getBoundingClientRect() };
  }

  /**
   * @param {HTMLElement} face
   * @param {{list: Element | null, box: DOMRect} | undefined} before
   * @param {boolean} held
   */
  #animate(face, before, held) {
    if (calm.matches) return;
    for (const animation of face.getAnimations()) if (animation.id === "glide") animation.cancel();
    if (!before) {
      face.animate([{ opacity: 0, transform: "scale(0.94)" }, { opacity: 1, transform: "none" }], { ...GLIDE, id: "glide" });
      return;
    }
    const { list, box } = this.#where(face);
    const [dx, dy] = [before.box.left - box.left, before.box.top - box.top];
    if (Math.abs(dx) + Math.abs(dy) < 1) return;
    if (list === before.list) {
      face.animate([{ transform: `translate(${dx}px, ${dy}px)` }, { transform: "none" }], { ...GLIDE, id: "glide" });
    } else if (!held && !face.classList.contains("landing")) {
      this.land(ghostOf(face, before.box), face); // a copy, since a column cuts off what leaves it
    }
  }

  /** @param {Column} column */
  #column(column) {
    const made = this.#columns.get(column.id) ?? makeColumn(column.id, this.#actions);
    this.#columns.set(column.id, made);
    write(made.title, column.title || "Untitled");
    write(made.count, String(column.cards.length));
    made.list.setAttribute("aria-label", `${column.title || "Untitled"}, ${column.cards.length} cards`);
    made.menu.setAttribute("aria-label", `Edit column ${column.title}`);
    return made;
  }

  /**
   * @param {Card} card
   * @param {Column} column
   */
  #card(card, column) {
    const made = this.#cards.get(card.id) ?? makeCard(card.id, this.#actions);
    this.#cards.set(card.id, made);
    write(made.title, card.title || "Untitled");
    write(made.note, card.note);
    made.note.hidden = !card.note;
    made.face.dataset.label = card.label;
    write(made.where, `, in ${column.title}`);
    return made;
  }
}

/**
 * @param {number} id
 * @param {Actions} actions
 */
function makeColumn(id, actions) {
  const title = element("h2");
  const count = element("span", { class: "count", "aria-hidden": "true" });
  const menu = element("button", { type: "button", class: "quiet", on: { click: () => actions.openColumn(id) } }, "⋯");
  const list = element("ul", { class: "cards", role: "list" });
  const input = element("textarea", { rows: 2, placeholder: "What is to be done?", "aria-label": "Title of the new card" });
  const form = element("form", { class: "add-form", hidden: true }, input,
    element("div", { class: "row" },
      element("button", { type: "submit", class: "primary" }, "Add"),
      element("button", { type: "button", on: { click: () => open(false) } }, "Cancel")));
  const add = element("button", { type: "button", class: "add-card", on: { click: () => open(true) } }, "+ Add a card");
  const open = (/** @type {boolean} */ opened) => {
    form.hidden = !opened;
    add.hidden = opened;
    input.value = "";
    (opened ? input : add).focus();
  };
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (text) actions.addCard(id, text);
    input.value = "";
    input.focus();
  });
  input.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) (event.preventDefault(), form.requestSubmit());
    if (event.key === "Escape") open(false);
  });
  const section = element("section", { class: "column", dataset: { id } },
    element("header", {}, title, count, menu), list, add, form);
  return { section, title, count, menu, list };
}

/**
 * @param {number} id
 * @param {Actions} actions
 */
function makeCard(id, actions) {
  const title = element("span", { class: "card-title" });
  const note = element("span", { class: "card-note" });
  const where = element("span", { class: "unseen" });
  const face = element("div", {
    class: "card", role: "button", tabIndex: -1, dataset: { id }, "aria-describedby": "card-help",
    on: { click: () => actions.openCard(id) },
  }, title, note, where);
  return { item: element("li", {}, face), face, title, note, where };
}

/**
 * @param {HTMLElement} target
 * @param {string} name of a class whose animation shall run from the start
 */
function restart(target, name) {
  target.classList.remove(name);
  void target.offsetWidth; // lets the browser notice that the class was gone
  target.classList.add(name);
}

/**
 * @param {HTMLElement} face
 * @param {DOMRect} box
 */
function fadeOut(face, box) {
  const ghost = ghostOf(face, box);
  const { transform } = ghost.style;
  const fading = ghost.animate([{ opacity: 1, transform }, { opacity: 0, transform: `${transform} scale(0.94)` }], GLIDE);
  fading.finished.then(() => ghost.remove(), () => ghost.remove());
}
