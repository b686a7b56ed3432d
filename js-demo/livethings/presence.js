/** Presence: who is in a room, or watches a thing. */

import { serverErrorByCode } from "./errors.js";
import { Subscription } from "./subscriptions.js";

/** @typedef {import("./subscriptions.js").Subscriptions} Subscriptions */
/** @typedef {import("../livethings.js").Present} Present */

/** @extends {Subscription<readonly Present[]>} */
export class Presence extends Subscription {
  #asked;
  #subscriptions;
  /** The number of this connection, as the server calls it. */
  #own = 0;
  /** @type {{scope: string, room?: number, thing?: number} | null} what the server's events name */
  #place = null;

  /**
   * @param {Subscriptions} subscriptions
   * @param {{scope: string, room?: number | string, thing?: number}} asked
   */
  constructor(subscriptions, asked) {
    super(subscriptions);
    this.#subscriptions = subscriptions;
    this.#asked = asked;
  }

  _ask() {
    this.#place = null;
    this._request("presence", this.#asked, (reply) => {
      this.#own = reply.connection;
      const { room, thing } = reply;
      this.#place = { scope: this.#asked.scope, ...(room === undefined ? { thing } : { room }) };
      this._listen(routeOf(this.#place));
      this.#take(reply.present);
    }, (reply) => this.#end(reply));
  }

  /** @param {boolean} ready */
  _leave(ready) {
    if (ready && this.#place) this.#end(this.#place);
    this.#place = null;
  }

  /**
   * @param {string} method
   * @param {any} params
   */
  _notified(method, params) {
    if (method === "presence.end") {
      return this._fail(serverErrorByCode(-54, "What was asked about is gone, or the right to see who is there."));
    }
    const others = this._value.filter((/** @type {Present} */ present) => present.connection !== params.connection);
    this.#take(method === "presence.join" ? [...others, params] : others);
  }

  /**
   * @param {{connection: number, user: string}[]} present
   */
  #take(present) {
    const known = new Map((this._value ?? []).map((/** @type {Present} */ one) => [one.connection, one]));
    const list = present.map(({ connection, user }) => {
      const own = connection === this.#own;
      const before = /** @type {Present | undefined} */ (known.get(connection));
      if (before && before.user === user && before.own === own) return before;
      return Object.freeze({ connection, user, own });
    });
    this._set(Object.freeze(list.sort((one, other) => one.connection - other.connection)));
  }

  /** @param {{room?: number, thing?: number}} place */
  #end({ room, thing }) {
    const place = { scope: this.#asked.scope, ...(room === undefined ? { thing } : { room }) };
    // The server knows one interest a connection: it stays while another of ours has it, or may be about to.
    if (this.#subscriptions.routed(routeOf(place))) return;
    if (this.#subscriptions.some((other) => other instanceof Presence && other._asked)) return;
    this._connection.ask("unpresence", place);
  }
}

/** @param {{room?: number, thing?: number}} place */
function routeOf({ room, thing }) {
  return room === undefined ? `at thing ${thing}` : `in room ${room}`;
}
