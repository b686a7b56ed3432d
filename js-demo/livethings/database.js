/** What an application works with: one connection, and everything that can be asked for and followed on it. */

import { Connection } from "./connection.js";
import { LiveQuery } from "./live.js";
import { Mirror } from "./mirror.js";
import { Presence } from "./presence.js";
import { Room, Rooms } from "./rooms.js";
import { Subscriptions } from "./subscriptions.js";
import { Tree } from "./tree.js";
import { Watches } from "./watches.js";

/** @typedef {import("../livethings.js").Options} Options */
/** @typedef {import("../livethings.js").RequestOptions} RequestOptions */
/** @typedef {import("../livethings.js").QueryOptions} QueryOptions */
/** @typedef {import("../livethings.js").WatchHandlers} WatchHandlers */
/** @typedef {import("./watches.js").Watch} Watch */

/**
 * Connects and resolves when the server has accepted the credentials. See `Livethings.connect`.
 *
 * @param {Options} [options]
 * @returns {Promise<Livethings>}
 */
export function connect(options) {
  return new Livethings(options).connect();
}

/** A connection to a Livethings server that heals itself. */
export class Livethings {
  #connection;
  #watches;
  #rooms;
  #subscriptions;
  /** @type {Map<number, Mirror<any>>} */
  #mirrors = new Map();

  /** @param {Options} [options] */
  constructor(options) {
    this.#connection = new Connection(options);
    this.#rooms = new Rooms(this.#connection);
    this.#watches = new Watches(this.#connection);
    this.#subscriptions = new Subscriptions(this.#connection);
    const mirrors = { attach() {}, detach() {}, notified() {}, end: () => this.#mirrors.clear() };
    this.#connection.keepers.push(this.#rooms, this.#watches, this.#subscriptions, mirrors);
  }

  get state() {
    return this.#connection.state;
  }

  /** The present state with its reason. */
  get status() {
    return this.#connection.status;
  }

  /**
   * Listens to `"state"` (a `StateChange`), or to a notification by its method: `"room.emit"`, `"warning"`,
   * `"node.status"`, `"watch.update"`, … (its params), or to `"notification"`: every one (method, params).
   *
   * @param {string} name
   * @param {(...args: any[]) => void} listener
   * @returns {() => void} stops listening
   */
  on(name, listener) {
    return this.#connection.listeners.add(name, listener);
  }

  /**
   * Connects and authenticates. Goes on trying while the server can't be reached, unless `reconnect` is off.
   *
   * @returns {Promise<this>} when ready; rejected when the server refuses the credentials, or on `close()`
   */
  connect() {
    const connecting = this.#connection.connect().then(() => this);
    connecting.catch(() => {}); // it may be called without waiting for it
    return connecting;
  }

  /**
   * Authenticates the open connection as another user, and uses these credentials from now on.
   *
   * @param {import("../livethings.js").Credentials} credentials
   */
  authenticate(credentials) {
    return this.#connection.authenticate(credentials);
  }

  /** Closes for good: what waits fails with ClosedError, watches end without an event. `connect()` opens it again. */
  close() {
    this.#connection.close();
  }

  /** While reconnecting: tries now and does not wait for the delay to pass. */
  retryNow() {
    this.#connection.retryNow();
  }

  // Requests --------------------------------------------------------------------------------------------------------

  /**
   * Runs code in a scope, such as `"//stuff"`.
   *
   * @param {string} scope
   * @param {string} code
   * @param {{[name: string]: any}} [vars] variables of the code; anything that JSON can carry
   * @param {QueryOptions} [options]
   * @returns {Promise<any>} the value of the last statement
   */
  query(scope, code, vars, options) {
    return this.#connection.request("query", { scope, code, vars, ...conditions(options) }, options);
  }

  /**
   * Calls a procedure.
   *
   * @param {string} scope
   * @param {string} procedure
   * @param {any[] | {[name: string]: any}} [args] by position or by name
   * @param {QueryOptions} [options]
   * @returns {Promise<any>}
   */
  run(scope, procedure, args = [], options) {
    return this.#connection.request("run", { scope, procedure, args, ...conditions(options) }, options);
  }

  /**
   * Asks the server for a sign of life.
   *
   * @param {RequestOptions} [options]
   */
  async ping(options) {
    await this.#connection.request("ping", {}, options);
  }

  // What stays up to date -----------------------------------------------------------------------------------------

  /**
   * Watches a thing: its handlers are called with the whole thing, then with each change. A watch is a standing wish:
   * it waits for the connection without a time limit, and goes on after each reconnect: with what was missed or, when the
   * server does not know that any more, with the whole thing again.
   *
   * @param {string} scope
   * @param {number} id
   * @param {WatchHandlers} handlers
   * @returns {Promise<Watch>} when the first init was handled; rejected with LookupError when there is no such thing
   */
  watch(scope, id, handlers) {
    return this.#watches.watch(scope, id, handlers);
  }

  /**
   * Ends every watch of a thing that was made here. To end a single one: its `stop()`.
   *
   * @param {string} scope
   * @param {number} id
   */
  unwatch(scope, id) {
    this.#watches.unwatch(scope, id);
  }

  /**
   * Mirrors a thing: an object that stays as the thing is on the server. Mirrors of one thing are shared; each call
   * needs its `close()`.
   *
   * @template {import("../livethings.js").Thing} [T=import("../livethings.js").Thing]
   * @param {string} scope
   * @param {number} id
   * @returns {Promise<Mirror<T>>} when it has its first value; rejected with LookupError when there is no such thing
   */
  mirror(scope, id) {
    let mirror = this.#mirrors.get(id);
    if (!mirror) {
      mirror = new Mirror(this, scope, id, () => {
        if (this.#mirrors.get(id) === mirror) this.#mirrors.delete(id);
      });
      this.#mirrors.set(id, mirror);
    }
    return mirror.open();
  }

  /**
   * A deep watch: a thing with what it contains, to a depth, as a store.
   *
   * @template [T=any]
   * @param {string} scope
   * @param {number} id
   * @param {number} [deep] 1: the things in its properties too, 2: also those in theirs, and so on up to 127
   * @returns {Tree<T>}
   */
  tree(scope, id, deep = 1) {
    return this.#subscriptions.find(["tree", scope, id, deep], () => new Tree(this.#subscriptions, this.#watches, scope, id, deep));
  }

  /**
   * A live query: the result of code without side effects, as a store. The server keeps it up to date while somebody is
   * subscribed. Calls that ask for the same give the same object.
   *
   * @template [T=any]
   * @param {string} scope
   * @param {string} code
   * @param {{[name: string]: any}} [vars]
   * @param {{interval?: number}} [options]
   * @returns {LiveQuery<T>}
   */
  live(scope, code, vars, options) {
    return this.#live({ scope, code, vars }, options);
  }

  /**
   * The same of a procedure.
   *
   * @template [T=any]
   * @param {string} scope
   * @param {string} procedure
   * @param {any[] | {[name: string]: any}} [args] by position or by name
   * @param {{interval?: number}} [options]
   * @returns {LiveQuery<T>}
   */
  liveRun(scope, procedure, args = [], options) {
    return this.#live({ scope, procedure, args }, options);
  }

  /**
   * @param {object} what
   * @param {{interval?: number}} [options]
   * @returns {LiveQuery<any>}
   */
  #live(what, options) {
    const interval = options?.interval;
    const asked = interval === undefined ? what : { ...what, interval: interval / 1000 };
    return this.#subscriptions.find(["live", asked], () => new LiveQuery(this.#subscriptions, asked));
  }

  /**
   * Who is in a room, or watches a thing, as a store.
   *
   * @param {string} scope
   * @param {{room: string | number} | {thing: number}} place
   * @returns {Presence}
   */
  presence(scope, place) {
    const asked = { scope, ...place };
    return this.#subscriptions.find(["presence", asked], () => new Presence(this.#subscriptions, asked));
  }

  // Rooms -----------------------------------------------------------------------------------------------------------

  /**
   * A room, which is joined while somebody listens there.
   *
   * @param {string} scope
   * @param {string | number} room id or name
   * @param {{history?: boolean}} [options] history: what was emitted while there was no connection comes afterwards
   * @returns {Room}
   */
  room(scope, room, options) {
    const history = options?.history ?? false;
    const make = () => new Room(this.#subscriptions, this.#rooms, scope, room, history);
    return this.#subscriptions.find(["room", scope, room, history], make);
  }

  /**
   * Joins rooms, by id or name; again after each reconnect. What is emitted there: `on("room.emit", …)`.
   *
   * @param {string} scope
   * @param {(string | number)[]} rooms
   * @returns {Promise<(number | null)[]>} the rooms' ids; null where there is none
   */
  join(scope, ...rooms) {
    return this.#rooms.join(scope, rooms);
  }

  /**
   * @param {string} scope
   * @param {(string | number)[]} rooms
   * @returns {Promise<(number | null)[]>}
   */
  leave(scope, ...rooms) {
    return this.#rooms.leave(scope, rooms);
  }

  /**
   * Sends an event to everybody in a room.
   *
   * @param {string} scope
   * @param {string | number} room
   * @param {string} event
   * @param {any[]} [args]
   * @param {RequestOptions & {peers?: boolean}} [options] peers: to all but this connection
   */
  async emit(scope, room, event, args = [], options = {}) {
    const { peers = false, ...rest } = options;
    await this.#connection.request("emit", { scope, room, event, args, peers }, rest);
  }
}

/**
 * @param {QueryOptions} [options]
 * @returns {object} as the server wants them
 */
function conditions(options) {
  return options ? { atomic: options.atomic, decided_at: options.decidedAt, things: options.things } : {};
}
