/** The board page: what people do, by pointer and keyboard, and what others do meanwhile. */

import { Board } from "./board-data.js";
import { makeDraggable } from "./board-drag.js";
import { BoardView } from "./board-view.js";
import { announce, byId, complain, describe, element, notice, openPage } from "./page.js";
import { showPresence } from "./presence-view.js";

/** @typedef {import("./board-data.js").Column} Column */
/** @typedef {import("./board-data.js").Card} Card */
/** @typedef {{card: number, column: number, before: number | null}} Move */

const LABELS = { "": "None", blue: "Blue", green: "Green", amber: "Amber", red: "Red", violet: "Violet" };

openPage(async (db) => {
  /** @type {Column[]} as the server has it, when the page was last drawn */
  let known = [];
  /** @type {Set<Move>} moves that the server has not answered yet; shown as if they were done */
  const pending = new Set();
  /** @type {(Move & {from: Move, by: "keyboard" | "pointer"}) | null} the card in somebody's hand */
  let held = null;
  /** @type {Map<number, number>} how many of this page's own queries about a card are under way */
  const mine = new Map();
  let drawn = false;
  let frame = 0;
  /** @type {import("./livethings.js").Presence | null} */
  let here = null;
  let leave = () => {};

  const place = byId("board");
  place.append(element("p", { class: "empty" }, "Loading the board …"));
  const board = new Board(db, () => schedule(), complain);
  const view = new BoardView(place, { openCard, openColumn, addCard, addColumn });

  function schedule() {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      draw();
    });
  }

  /** The board as this page shows it: the server's, with what is under way here on top. */
  function shown() {
    return [...pending, ...(held ? [held] : [])].reduce(moved, board.columns);
  }

  function draw() {
    if (!drawn && !board.complete) return;
    if (board.presence && board.presence !== here) {
      leave();
      here = board.presence;
      leave = showPresence(here);
    }
    const now = board.columns;
    const news = drawn ? compare(known, now).filter(({ card }) => !mine.has(card)) : [];
    known = now;
    if (!drawn) place.replaceChildren();
    if (held && !find(now, held.card)) letGo("The card was deleted by somebody else.");
    const columns = shown();
    view.render(columns, { held: held?.card ?? null, touched: new Set(news.map(({ card }) => card)), first: !drawn });
    if (news.length) announce(news.length > 3 ? `${news.length} cards were changed.` : news.map(({ text }) => text).join(" "));
    const reached = document.activeElement instanceof HTMLElement ? Number(document.activeElement.dataset.id) : NaN;
    if (find(columns, reached)) view.reachable(reached);
    else if (!place.querySelector('.card[tabindex="0"]')) view.reachable(columns.flatMap(({ cards }) => cards)[0]?.id);
    drawn = true;
  }

  /**
   * Carries out a query about a card; an error is shown, and the page goes back to what the server has.
   *
   * @template T
   * @param {number} card
   * @param {Promise<T>} query
   * @returns {Promise<T | undefined>}
   */
  async function own(card, query) {
    mine.set(card, (mine.get(card) ?? 0) + 1);
    try {
      return await query;
    } catch (error) {
      complain(error);
    } finally {
      // Events come before the reply, but the page is drawn a frame later.
      requestAnimationFrame(() => requestAnimationFrame(() => {
        const left = (mine.get(card) ?? 1) - 1;
        if (left) mine.set(card, left);
        else mine.delete(card);
      }));
    }
  }

  /** @param {Move} move */
  async function send({ card, column, before }) {
    const move = { card, column, before };
    pending.add(move);
    schedule();
    await own(card, board.moveCard(card, column, before));
    pending.delete(move);
    schedule();
  }

  // Holding a card ----------------------------------------------------------------------------------------------------

  /**
   * @param {number} card
   * @param {"keyboard" | "pointer"} by
   */
  function lift(card, by) {
    const from = whereIs(shown(), card);
    if (!from) return;
    held = { ...from, from, by };
    schedule();
    if (by === "keyboard") announce(`Lifted ${position(shown(), card)}. Arrow keys move it, Space drops it, Escape cancels.`, "assertive");
  }

  function drop() {
    if (!held) return;
    const { from, ...move } = held;
    held = null;
    if (move.column !== from.column || move.before !== from.before) send(move);
    announce(`Dropped ${position(shown(), move.card)}.`, "assertive");
    schedule();
  }

  /** @param {string} reason */
  function letGo(reason) {
    held = null;
    announce(reason, "assertive");
    schedule();
  }

  makeDraggable(place, {
    begin: (card) => lift(Number(card.dataset.id), "pointer"),
    over(point) {
      if (!held) return;
      const target = view.placeAt(point, held.card, shown());
      if (!target || (target.column === held.column && target.before === held.before)) return;
      Object.assign(held, target);
      schedule();
    },
    drop: (ghost) => finish(ghost, drop),
    cancel: (ghost) => finish(ghost, () => letGo("Cancelled.")),
  });

  /**
   * @param {HTMLElement} ghost
   * @param {() => void} how
   */
  function finish(ghost, how) {
    const face = held && view.face(held.card);
    how();
    draw();
    if (face?.isConnected) view.land(ghost, face);
    else ghost.remove();
  }

  place.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const face = /** @type {HTMLElement} */ (event.target);
    if (!face.classList.contains("card") || event.ctrlKey || event.metaKey || event.altKey) return;
    const card = Number(face.dataset.id);
    const columns = shown();
    if (event.key === " ") {
      if (held) drop();
      else lift(card, "keyboard");
    } else if (event.key === "Enter") {
      if (held) drop();
      else openCard(card);
    } else if (event.key === "Escape" && held?.by === "keyboard") {
      letGo(`Cancelled. ${position(known, card)}`);
    } else if (held?.by === "keyboard" || event.shiftKey) {
      const move = step(columns, card, event.key);
      if (!move) return;
      if (held) Object.assign(held, move);
      else send(move);
      draw();
      announce(position(shown(), card), "assertive");
    } else {
      const next = neighbour(columns, card, event.key);
      if (next === null) return;
      view.reachable(next);
      view.face(next)?.focus();
    }
    event.preventDefault();
    view.face(card)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  place.addEventListener("focusin", (/** @type {FocusEvent} */ event) => {
    const id = Number(/** @type {HTMLElement} */ (event.target).dataset.id);
    if (find(shown(), id)) view.reachable(id);
    if (held?.by === "keyboard" && id !== held.card) letGo("Cancelled.");
  });

  // Cards and columns -------------------------------------------------------------------------------------------------

  /**
   * @param {number} column
   * @param {string} title
   */
  function addCard(column, title) {
    own(0, board.addCard(column, { title }));
  }

  /** @param {number} id */
  function openCard(id) {
    const card = find(known, id);
    const where = whereIs(known, id);
    if (!card || !where) return;
    const title = element("input", { value: card.title, required: true, autocomplete: "off" });
    const note = element("textarea", { value: card.note, rows: 5 });
    const column = element("select", {}, ...known.map((one) => element("option", { value: String(one.id), selected: one.id === where.column }, one.title)));
    const labels = element("div", { class: "labels", role: "radiogroup", "aria-label": "Label" }, ...Object.entries(LABELS).map(([value, name]) =>
      element("label", { class: "swatch", title: name, dataset: { label: value } },
        element("input", { type: "radio", name: "label", value, checked: value === card.label, "aria-label": name }))));
    ask("Card", [field("Title", title), field("Note", note), element("div", { class: "pair" }, field("Column", column), field("Label", labels))], {
      save() {
        /** @type {{[name: string]: string}} only what was changed here: what others change meanwhile stays */
        const changes = {};
        const label = labels.querySelector("input:checked")?.value ?? "";
        if (title.value.trim() !== card.title) changes.title = title.value.trim();
        if (note.value !== card.note) changes.note = note.value;
        if (label !== card.label) changes.label = label;
        if (Object.keys(changes).length) own(id, board.editCard(id, changes));
        if (Number(column.value) !== where.column) send({ card: id, column: Number(column.value), before: null });
      },
      remove: {
        label: "Delete card",
        async run() {
          const latest = find(known, id) ?? card;
          const last = whereIs(known, id) ?? where;
          await own(id, board.removeCard(id));
          const back = () => void own(0, board.addCard(last.column, latest, last.before));
          notice(`Deleted “${latest.title}”.`, { action: { label: "Undo", run: back } });
        },
      },
    }, () => view.face(id)?.focus());
  }

  /** @param {number} id */
  function openColumn(id) {
    const column = known.find((one) => one.id === id);
    if (!column) return;
    const title = element("input", { value: column.title, required: true, autocomplete: "off" });
    const count = column.cards.length;
    ask("Column", [field("Title", title)], {
      save: () => void (title.value.trim() !== column.title && own(id, board.renameColumn(id, title.value.trim()))),
      remove: { label: count ? `Delete column and its ${count === 1 ? "card" : `${count} cards`}` : "Delete column", run: () => own(id, board.removeColumn(id)) },
    });
  }

  function addColumn() {
    const title = element("input", { required: true, autocomplete: "off" });
    ask("New column", [field("Title", title)], { save: () => void own(0, board.addColumn(title.value.trim())) });
  }

  await board.open().catch((error) => {
    place.replaceChildren(element("p", { class: "empty problem", role: "alert" }, `The board can't be opened. ${describe(error)}`));
  });
});

// A dialog ------------------------------------------------------------------------------------------------------------

/**
 * @param {string} name
 * @param {Node} control
 */
function field(name, control) {
  return element(control instanceof HTMLDivElement ? "div" : "label", { class: "field" }, element("span", {}, name), control);
}

/**
 * @param {string} heading
 * @param {Node[]} fields
 * @param {{save: () => void, remove?: {label: string, run: () => void}}} actions
 * @param {() => void} [closed]
 */
function ask(heading, fields, { save, remove }, closed) {
  const dialog = element("dialog", { class: "form", "aria-labelledby": "dialog-heading" },
    element("form", { method: "dialog", on: { submit: () => save() } },
      element("h2", { id: "dialog-heading" }, heading), ...fields,
      element("div", { class: "row" },
        remove && element("button", { type: "button", class: "danger", on: { click: () => (dialog.close(), remove.run()) } }, remove.label),
        element("span", { class: "space" }),
        element("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel"),
        element("button", { type: "submit", class: "primary" }, "Save"))));
  dialog.addEventListener("close", () => (dialog.remove(), closed?.()));
  dialog.addEventListener("click", (/** @type {Event} */ event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}

// Places --------------------------------------------------------------------------------------------------------------

/**
 * @param {Column[]} columns
 * @param {number} id
 * @returns {Card | undefined}
 */
function find(columns, id) {
  for (const { cards } of columns) for (const card of cards) if (card.id === id) return card;
}

/**
 * @param {Column[]} columns
 * @param {number} card
 * @returns {Move | null}
 */
function whereIs(columns, card) {
  for (const { id, cards } of columns) {
    const index = cards.findIndex((one) => one.id === card);
    if (index >= 0) return { card, column: id, before: cards[index + 1]?.id ?? null };
  }
  return null;
}

/**
 * The board after a move; as it is when the card or the column is not there any more.
 *
 * @param {Column[]} columns
 * @param {Move} move
 * @returns {Column[]}
 */
function moved(columns, { card: id, column, before }) {
  const card = find(columns, id);
  if (!card || !columns.some((one) => one.id === column)) return columns;
  return columns.map((one) => {
    const cards = one.cards.filter((other) => other.id !== id);
    if (one.id === column) {
      const index = cards.findIndex((other) => other.id === before);
      cards.splice(index < 0 ? cards.length : index, 0, card);
    }
    return { ...one, cards };
  });
}

/**
 * Where a key moves a card to.
 *
 * @param {Column[]} columns
 * @param {number} card
 * @param {string} key
 * @returns {Move | null}
 */
function step(columns, card, key) {
  const at = columns.findIndex(({ cards }) => cards.some(({ id }) => id === card));
  const index = columns[at]?.cards.findIndex(({ id }) => id === card) ?? -1;
  const [toColumn, aim] = target(at, index, key);
  const column = columns[toColumn];
  const toIndex = toColumn === at ? Math.min(aim, Math.max(index + 1, (column?.cards.length ?? 0) - 1)) : aim;
  if (!column || toIndex < 0 || (toColumn === at && (toIndex === index || toIndex >= column.cards.length))) return null;
  const others = column.cards.filter(({ id }) => id !== card);
  return { card, column: column.id, before: others[toIndex]?.id ?? null };
}

/**
 * The card that a key leads to.
 *
 * @param {Column[]} columns
 * @param {number} card
 * @param {string} key
 * @returns {number | null}
 */
function neighbour(columns, card, key) {
  const at = columns.findIndex(({ cards }) => cards.some(({ id }) => id === card));
  const index = columns[at]?.cards.findIndex(({ id }) => id === card) ?? -1;
  let [toColumn, toIndex] = target(at, index, key);
  while (toColumn !== at && columns[toColumn]?.cards.length === 0) toColumn += Math.sign(toColumn - at);
  const cards = columns[toColumn]?.cards ?? [];
  if (toColumn !== at || key === "End") toIndex = Math.min(toIndex, cards.length - 1);
  return cards[toIndex]?.id ?? null;
}

/**
 * @param {number} column
 * @param {number} index
 * @param {string} key
 * @returns {[number, number]}
 */
function target(column, index, key) {
  if (key === "ArrowUp") return [column, index - 1];
  if (key === "ArrowDown") return [column, index + 1];
  if (key === "ArrowLeft") return [column - 1, index];
  if (key === "ArrowRight") return [column + 1, index];
  if (key === "Home") return [column, 0];
  if (key === "End") return [column, Infinity];
  return [-1, -1];
}

/**
 * @param {Column[]} columns
 * @param {number} card
 * @returns {string}
 */
function position(columns, card) {
  for (const { title, cards } of columns) {
    const index = cards.findIndex(({ id }) => id === card);
    if (index >= 0) return `${cards[index]?.title}, ${index + 1} of ${cards.length} in ${title}`;
  }
  return "The card is gone";
}

/**
 * What has happened to cards, as sentences.
 *
 * @param {Column[]} before
 * @param {Column[]} after
 * @returns {{card: number, text: string}[]}
 */
function compare(before, after) {
  const all = (/** @type {Column[]} */ columns) => new Map(columns.flatMap((column) => column.cards.map((card) => [card.id, { card, column }])));
  const [old, now] = [all(before), all(after)];
  const news = [];
  for (const [id, { card, column }] of now) {
    const was = old.get(id);
    if (!was) news.push({ card: id, text: `${card.title} was added to ${column.title}.` });
    else if (was.column.id !== column.id) news.push({ card: id, text: `${card.title} was moved to ${column.title}.` });
    else if (["title", "note", "label"].some((name) => Reflect.get(was.card, name) !== Reflect.get(card, name))) {
      news.push({ card: id, text: `${card.title} was changed.` });
    }
  }
  for (const [id, { card, column }] of old) if (!now.has(id)) news.push({ card: id, text: `${card.title} was deleted from ${column.title}.` });
  return news;
}
