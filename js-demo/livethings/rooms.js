/** Rooms: those that the application has joined, and those that it listens to. */

import { LivethingsError } from "./errors.js";
import { Listeners } from "./listeners.js";
import { Subscription } from "./subscriptions.js";

/** @typedef {import("./connection.js").Connection} Connection */
/** @typedef {import("./subscriptions.js").Subscriptions} Subscriptions */
/** @typedef {{event: string, args: any[]}} RoomEvent */

/** How many events may wait for a `for await` that is slow. */
const MOST_WAITING = 10_000;

/** The rooms that were joined by `join`, again on each new connection. */
export class Rooms {
  /** @type {Map<string, Map<string | number, number>>} their ids, by scope and what they were joined as */
  #joined = new Map();
  #connection;

  /** @param {Connection} connection */
  constructor(connection) {
    this.#connection = connection;
  }

  /**
   * @param {string} scope
   * @param {(string | number)[]} rooms
   * @returns {Promise<(number | null)[]>}
   */
  async join(scope, rooms) {
    const ids = await this.#connection.request("join", { scope, rooms });
    const joined = this.#joined.get(scope) ?? new Map();
    rooms.forEach((room, index) => ids[index] !== null && joined.set(room, ids[index]));
    this.#joined.set(scope, joined);
    return ids;
  }

  /**
   * @param {string} scope
   * @param {(string | number)[]} rooms
   * @returns {Promise<(number | null)[]>}
   */
  leave(scope, rooms) {
    for (const room of rooms) this.#joined.get(scope)?.delete(room);
    return this.#connection.request("leave", { scope, rooms });
  }

  /** @param {number} id of a room */
  has(id) {
    return [...this.#joined.values()].some((joined) => [...joined.values()].includes(id));
  }

  attach() {
    for (const [scope, rooms] of this.#joined) {
      if (rooms.size) this.#connection.ask("join", { scope, rooms: [...rooms.keys()] });
    }
  }

  detach() {}

  end() {
    this.#joined.clear();
  }

  notified() {}
}

/**
 * A room that is joined while somebody listens.
 *
 * @extends {Subscription<any>}
 */
export class Room extends Subscription {
  #subscriptions;
  #rooms;
  #history;
  #listeners = new Listeners();
  /** @type {number | null} */
  #id = null;
  /** @type {number | undefined} the last event that is known, of a room with history */
  #number;

  /**
   * @param {Subscriptions} subscriptions
   * @param {Rooms} rooms
   * @param {string} scope
   * @param {string | number} room
   * @param {boolean} history
   */
  constructor(subscriptions, rooms, scope, room, history) {
    super(subscriptions);
    this.#subscriptions = subscriptions;
    this.#rooms = rooms;
    this.#history = history;
    /** @readonly */ this.scope = scope;
    /** @readonly */ this.room = room;
  }

  /**
   * Listens to an event that is emitted in the room.
   *
   * @param {string} event
   * @param {(...args: any[]) => void} listener
   * @returns {() => void} stops listening
   */
  on(event, listener) {
    return this.#listen(`event ${event}`, listener);
  }

  /**
   * Listens for events being lost: there was no connection for too long, or the room has no history, or this client was too
   * slow.
   *
   * @param {() => void} listener
   * @returns {() => void} stops listening
   */
  onMissed(listener) {
    return this.#listen("missed", listener);
  }

  /**
   * Sends an event to everybody in the room.
   *
   * @param {string} event
   * @param {any[]} args
   * @returns {Promise<void>}
   */
  async emit(event, ...args) {
    await this._connection.request("emit", { scope: this.scope, room: this.room, event, args });
  }

  /**
   * All events, in order, until `close()`; throws what ended it, or QueueFullError when 10,000 wait.
   *
   * @returns {AsyncGenerator<any, void, undefined>}
   */
  async *[Symbol.asyncIterator]() {
    /** @type {RoomEvent[]} */
    let waiting = [];
    let full = false;
    let wake = () => {};
    const stops = [this.#listen("any", (event) => {
      if (waiting.length < MOST_WAITING) waiting.push(event);
      else full = true;
      wake();
    }), this.status.subscribe(() => wake())];
    try {
      for (;;) {
        const { state, error } = this.status.getSnapshot();
        if (waiting.length) {
          const events = waiting;
          waiting = [];
          yield* events;
        } else if (full) throw new LivethingsError("QueueFullError", `${MOST_WAITING} events waited to be taken.`);
        else if (state === "ended") {
          if (error) throw error;
          return;
        } else await new Promise((resolve) => (wake = () => resolve(undefined)));
      }
    } finally {
      for (const stop of stops) stop();
    }
  }

  /**
   * @param {string} name
   * @param {(...args: any[]) => void} listener
   * @returns {() => void}
   */
  #listen(name, listener) {
    const stops = [this.#listeners.add(name, listener), this.subscribe(() => {})];
    return () => stops.forEach((stop) => stop());
  }

  _ask() {
    this.#id = null;
    const again = this.#number !== undefined;
    const history = !this.#history ? {} : again ? { since: this.#number } : { history: true };
    this._request("join", { scope: this.scope, rooms: [this.room], ...history }, (reply) => {
      const { rooms: [id], number, resumed } = this.#history ? reply : { rooms: reply, number: 0, resumed: false };
      if (id === null) {
        return this._fail(new LivethingsError("LookupError", `There is no room ${this.room} in ${this.scope}.`, -54));
      }
      this.#id = id;
      this._listen(`room ${id}`);
      if (again && !resumed) this.#listeners.call("missed");
      if (!again || !this.#history) this.#number = number;
      this._enter("live");
    }, (reply) => this.#leaveRoom((this.#history ? reply.rooms : reply)[0]));
  }

  /** @param {boolean} ready */
  _leave(ready) {
    if (ready && this.#id !== null) this.#leaveRoom(this.#id);
    this.#id = null;
    this.#number = undefined;
  }

  /**
   * @param {string} method
   * @param {any} params
   */
  _notified(method, params) {
    if (method === "room.delete") return this._fail(new LivethingsError("LookupError", "The room is gone.", -54));
    if (method === "warning") return this.#listeners.call("missed");
    if (params.number !== undefined) this.#number = Math.max(this.#number ?? 0, params.number);
    const { event, args } = params;
    this.#listeners.call("any", { event, args });
    this.#listeners.call(`event ${event}`, ...args);
  }

  /** @param {number | null} id */
  #leaveRoom(id) {
    if (id === null || this.#rooms.has(id) || this.#subscriptions.routed(`room ${id}`)) return;
    this._connection.ask("leave", { scope: this.scope, rooms: [id] });
  }
}
