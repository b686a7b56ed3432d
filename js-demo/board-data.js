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

/** @typedef {import("./livethings.js").Livethings} Livethings */
/** @typedef {import("./livethings.js").Mirror} Mirror */
/** @typedef {import("./livethings.js").Thing} Thing */

/** @typedef {{id: number, title: string, note: string, label: string}} Card */
/** @typedef {{id: number, title: string, cards: Card[]}} Column */

const SCOPE = "//stuff";
const TIDY_AFTER = 1_000; // milliseconds

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

/** The board's things, mirrored, and what can be done to them. */
export class Board {
  /** @type {Map<number, Mirror | null>} the columns and cards; null while one is being opened */
  #mirrors = new Map();
  /** @type {Mirror | null} */
  #root = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #tidying;
  #db;
  #changed;
  #failed;

  /**
   * @param {Livethings} db
   * @param {() => void} changed called after each change
   * @param {(error: any) => void} failed called when something can't be watched
   */
  constructor(db, changed, failed) {
    this.#db = db;
    this.#changed = changed;
    this.#failed = failed;
  }

  /** Makes the board if there is none, and mirrors it. */
  async open() {
    const id = await this.#db.query(SCOPE, SET_UP);
    this.#root = await this.#db.mirror(SCOPE, id);
    this.#root.on("end", () => {
      this.#root = null;
      this.open().catch(this.#failed); // somebody has removed the whole board: begin a new one
    });
    this.#root.subscribe(() => this.#follow());
  }

  /** Who looks at the board; null before it is open. */
  get presence() {
    return this.#root && this.#db.presence(SCOPE, { thing: this.#root.id });
  }

  /** @returns {boolean} whether all that there is has arrived */
  get complete() {
    return this.#root !== null && this.#references().every((id) => this.#mirrors.get(id));
  }

  /**
   * @returns {boolean} whether each thing that is known has its place: false between the two updates of a move, of the
   *     column that a card leaves and of the one that it reaches, and until a deleted card is known to be gone
   */
  get settled() {
    const placed = new Set(this.#references());
    return [...this.#mirrors.keys()].every((id) => placed.has(id));
  }

  /** @returns {Column[]} the board as the server has it, so far as it has arrived */
  get columns() {
    return this.#arrived(this.#root?.value.columns).map(({ id, value }) => ({
      id,
      title: text(value.title),
      cards: this.#arrived(value.cards).map((card) => ({
        id: card.id,
        title: text(card.value.title),
        note: text(card.value.note),
        label: text(card.value.label),
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
    return this.#root?.id;
  }

  /**
   * @param {any} references
   * @returns {Mirror[]}
   */
  #arrived(references) {
    return ids(references).flatMap((id) => this.#mirrors.get(id) ?? []);
  }

  #references() {
    const columns = ids(this.#root?.value.columns);
    return columns.concat(columns.flatMap((id) => ids(this.#mirrors.get(id)?.value.cards)));
  }

  /** Mirrors what is on the board. */
  #follow() {
    for (const id of this.#references()) if (!this.#mirrors.has(id)) this.#mirror(id);
    // Not at once, since a card is nowhere for a moment while it is moved.
    clearTimeout(this.#tidying);
    this.#tidying = setTimeout(() => this.#tidy(), TIDY_AFTER);
    this.#changed();
  }

  /** Lets go of what is not on the board any more. */
  #tidy() {
    const wanted = new Set(this.#references());
    for (const [id, mirror] of this.#mirrors) {
      if (wanted.has(id) || !mirror) continue;
      this.#mirrors.delete(id);
      mirror.close();
    }
  }

  /** @param {number} id */
  async #mirror(id) {
    this.#mirrors.set(id, null);
    try {
      const mirror = await this.#db.mirror(SCOPE, id);
      this.#mirrors.set(id, mirror);
      mirror.on("end", () => {
        this.#mirrors.delete(id);
        this.#changed();
      });
      mirror.subscribe(() => this.#follow());
    } catch (error) {
      this.#mirrors.delete(id);
      if (/** @type {any} */ (error).className !== "LookupError") this.#failed(error); // else it is gone again already
    }
  }
}

/** @param {any} references @returns {number[]} the ids of the things in a list */
function ids(references) {
  return Array.isArray(references) ? references.flatMap((item) => item?.["#"] ?? []) : [];
}

/** @param {any} value @returns {string} what anybody may have stored there, as text */
function text(value) {
  return typeof value === "string" ? value : value === undefined || value === null ? "" : String(value);
}
