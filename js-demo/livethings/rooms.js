/** The rooms that this connection has joined, and joins again on each new one. */

/** @typedef {import("./connection.js").Connection} Connection */

export class Rooms {
  /** @type {Map<string, Set<string | number>>} by scope */
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
    const joined = this.#joined.get(scope) ?? new Set();
    rooms.forEach((room, index) => ids[index] !== null && joined.add(room));
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

  attach() {
    for (const [scope, rooms] of this.#joined) {
      if (rooms.size) this.#connection.ask("join", { scope, rooms: [...rooms] });
    }
  }

  detach() {}

  end() {
    this.#joined.clear();
  }

  notified() {}
}
