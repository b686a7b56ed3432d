/**
 * The board as it is stored: a thing at the property `board` of a collection's root, with columns and cards.
 *
 *     board  {columns: [column, …]}
 *     column {title: str, cards: [card, …]}
 *     card   {title: str, note: str, label: str}
 *
 * Everything that a person does is one query, so it happens whole, in one order for everybody. Places are given as
 * "before that card", not as numbers: this still means the right place when others have moved cards meanwhile.
 */

import { isThing } from "./livethings.js";

/** @typedef {import("./livethings.js").Livethings} Livethings */
/** @typedef {import("./livethings.js").LivethingsError} LivethingsError */
/** @typedef {import("./livethings.js").Tree} Tree */

/** @typedef {{id: number, title: string, note: string, label: string}} Card */
/** @typedef {{id: number, title: string, cards: Card[]}} Column */

const SCOPE = "//stuff";
const DEEP = 2; // board, columns, cards

// A query runs to its end before the next one starts, so of two tabs only the first finds the board missing.
const SET_UP = `
if (!.has("board")) {
  .board = {
    columns: [
      {title: "To do", cards: [
        {title: "Drag me to another column", note: "With the mouse, or with a finger: hold, then drag.", label: "blue"},
        {title: "Open this page in a second window", note: "Whatever moves here moves there.", label: "green"},
        {title: "Try the keyboard", note: "Space lifts a card, the arrow keys move it, Space drops it.", label: ""},
      ]},
      {title: "Doing", cards: [
        {title: "Look at the board in the inspector", note: "It is the property board of the collection stuff.", label: "amber"},
      ]},
      {title: "Done", cards: []},
    ]
  };
};
.board.id();`;

const MOVE_CARD = `
moved = thing(card);
goal = thing(column);
for (lane in thing(board).columns) {
  place = lane.cards.index_of(moved);
  if (place != nil) lane.cards.splice(place, 1);
};
place = goal.cards.find_index(|other| other.id() == before);
goal.cards.splice(place == nil ? goal.cards.len() : place, 0, moved);
nil;`;

const ADD_CARD = `
added = {title:, note:, label:};
goal = thing(column);
place = goal.cards.find_index(|other| other.id() == before);
goal.cards.splice(place == nil ? goal.cards.len() : place, 0, added);
added.id();`;

const REMOVE_CARD = `
for (lane in thing(board).columns) {
  lane.cards.remove(|other| other.id() == card);
};
nil;`;

/** The board with its columns and cards, kept up to date, and what can be done to them. */
export class Board {
  /** @type {Tree | null} */
  #tree = null;
  #db;
  #changed;
  #failed;

  /**
   * @param {Livethings} db
   * @param {() => void} changed called after each change
   * @param {(error: any) => void} failed called when the board can't be watched any more
   */
  constructor(db, changed, failed) {
    this.#db = db;
    this.#changed = changed;
    this.#failed = failed;
  }

  /** Makes the board if there is none, and watches it. */
  async open() {
    const tree = (this.#tree = this.#db.tree(SCOPE, await this.#db.query(SCOPE, SET_UP), DEEP));
    const leave = tree.subscribe(() => this.#changed());
    await new Promise((resolve, reject) => {
      const stop = tree.status.subscribe(({ state, error }) => {
        if (state === "live") resolve(undefined);
        if (state !== "ended") return;
        leave();
        queueMicrotask(() => stop());
        reject(error);
        if (this.complete) this.#ended(error);
      });
    });
  }

  /** @param {LivethingsError | null} error */
  #ended(error) {
    if (error?.className === "ClosedError") return;
    this.#tree = null;
    if (error?.className !== "LookupError") return this.#failed(error);
    this.open().catch(this.#failed); // somebody has removed the whole board: begin a new one
  }

  /** Who looks at the board; null before it is open. */
  get presence() {
    return this.#tree && this.#db.presence(SCOPE, { thing: this.#tree.id });
  }

  /** @returns {boolean} whether the board has arrived */
  get complete() {
    return this.#tree?.getSnapshot() !== undefined;
  }

  /** @returns {Column[]} the board as the server has it */
  get columns() {
    return things(this.#tree?.getSnapshot()?.columns).map((column) => ({
      id: column["#"],
      title: text(column.title),
      cards: things(column.cards).map((card) => ({
        id: card["#"],
        title: text(card.title),
        note: text(card.note),
        label: text(card.label),
      })),
    }));
  }

  /**
   * @param {number} card
   * @param {number} column
   * @param {number | null} before the card that it goes before; null for the end
   */
  moveCard(card, column, before) {
    return this.#db.query(SCOPE, MOVE_CARD, { board: this.#id, card, column, before });
  }

  /**
   * @param {number} column
   * @param {{title: string, note?: string, label?: string}} card
   * @param {number | null} [before]
   * @returns {Promise<number>} the new card's id
   */
  addCard(column, { title, note = "", label = "" }, before = null) {
    return this.#db.query(SCOPE, ADD_CARD, { column, title, note, label, before });
  }

  /**
   * @param {number} card
   * @param {Partial<Card>} changes
   */
  editCard(card, changes) {
    return this.#db.query(SCOPE, "thing(card).assign(changes); nil;", { card, changes });
  }

  /** @param {number} card */
  removeCard(card) {
    return this.#db.query(SCOPE, REMOVE_CARD, { board: this.#id, card });
  }

  /** @param {string} title */
  addColumn(title) {
    return this.#db.query(SCOPE, "thing(board).columns.push({title:, cards: []}); nil;", { board: this.#id, title });
  }

  /**
   * @param {number} column
   * @param {string} title
   */
  renameColumn(column, title) {
    return this.#db.query(SCOPE, "thing(column).title = title; nil;", { column, title });
  }

  /** @param {number} column */
  removeColumn(column) {
    const code = "thing(board).columns.remove(|lane| lane.id() == column); nil;";
    return this.#db.query(SCOPE, code, { board: this.#id, column });
  }

  get #id() {
    return this.#tree?.id;
  }
}

/** @param {any} list @returns {any[]} the things in what anybody may have stored there */
function things(list) {
  return Array.isArray(list) ? list.filter(isThing) : [];
}

/** @param {any} value @returns {string} what anybody may have stored there, as text */
function text(value) {
  return typeof value === "string" ? value : value === undefined || value === null ? "" : String(value);
}
