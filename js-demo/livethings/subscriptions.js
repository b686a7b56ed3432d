/**
 * What is followed as a store: it lives on the server while somebody here is subscribed to it, and is asked for anew on
 * each connection.
 */

import { LivethingsError } from "./errors.js";
import { Source } from "./store.js";

/** @typedef {import("./connection.js").Connection} Connection */
/** @typedef {import("../livethings.js").SubscriptionStatus} Status */

/**
 * A value that the server keeps up to date: a store (see `Source`) with a status, which is a store too.
 *
 * Those who make kinds of it give `_ask` (ask the server), `_leave` (tell it that nobody is interested any more) and
 * `_notified` (an event for it has come).
 *
 * @template T
 */
export class Subscription {
  #subscriptions;
  /** @type {Source<any>} */
  #value = new Source(undefined, () => this.#begin(), () => this.#rest());
  /** @type {Source<Status>} */
  #status = new Source(/** @type {Status} */ (Object.freeze({ state: "idle", error: null })));
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #resting;
  /** Stands for one request: what is answered to an earlier one is not wanted any more.
   * @type {object | null} */
  #asking = null;

  /** @param {Subscriptions} subscriptions */
  constructor(subscriptions) {
    this.#subscriptions = subscriptions;
    /** @readonly */ this.subscribe = /** @type {(listener: (value: T | undefined) => void) => () => void} */ (this.#value.subscribe);
    /** @readonly */ this.getSnapshot = /** @type {() => T | undefined} */ (this.#value.getSnapshot);
    /** @readonly */ this.status = { subscribe: this.#status.subscribe, getSnapshot: this.#status.getSnapshot };
  }

  /** Ends it for all who are subscribed here. Who subscribes later begins it anew. */
  close() {
    this.#stop();
    this._enter("ended");
  }

  /**
   * Each value from now on; the newest one when several came since the last was taken. Ends with `close()`; throws the
   * error that ended it.
   *
   * @returns {AsyncGenerator<T, void, undefined>}
   */
  async *[Symbol.asyncIterator]() {
    let fresh = false;
    let wake = () => {};
    const look = () => wake();
    const leave = [this.subscribe(() => {
      fresh = true;
      look();
    }), this.status.subscribe(look)];
    try {
      for (;;) {
        const value = this.getSnapshot();
        const { state, error } = this.status.getSnapshot();
        if (fresh && value !== undefined) {
          fresh = false;
          yield value;
        } else if (state === "ended") {
          if (error) throw error;
          return;
        } else await new Promise((resolve) => (wake = () => resolve(undefined)));
      }
    } finally {
      for (const stop of leave) stop();
    }
  }

  // For kinds of it -------------------------------------------------------------------------------------------------

  get _connection() {
    return this.#subscriptions.connection;
  }

  /** @returns {any} as getSnapshot */
  get _value() {
    return this.#value.getSnapshot();
  }

  /** @param {T} value frozen */
  _set(value) {
    this.#value.set(value);
    this._enter("live");
  }

  /**
   * @param {Status["state"]} state
   * @param {LivethingsError | null} [error]
   */
  _enter(state, error = null) {
    const { state: before, error: known } = this.#status.getSnapshot();
    if (before === state && known === error) return;
    // Who follows the value and not the status would not see it.
    if (error && error.className !== "ClosedError" && this.#value.followed && !this.#status.followed) console.error(error);
    this.#status.set(Object.freeze({ state, error }));
  }

  /**
   * @param {LivethingsError} error that ended it
   */
  _fail(error) {
    this.#stop(false);
    this._enter("ended", error);
  }

  /**
   * Routes events to this from now on.
   *
   * @param {string} route
   */
  _listen(route) {
    this.#subscriptions.enter(route, this);
  }

  /**
   * Asks the server, and calls `granted` with what it answers, if that is still wanted then; otherwise `unwanted`.
   *
   * @param {string} method
   * @param {object} params
   * @param {(result: any) => void} granted
   * @param {(result: any) => void} unwanted
   */
  _request(method, params, granted, unwanted) {
    const asking = (this.#asking = {});
    this._connection.ask(method, params, (result) => {
      if (this.#asking !== asking) return unwanted(result);
      this.#asking = null;
      granted(result);
    }, (error) => {
      if (this.#asking !== asking || error.code === null) return; // lost with the connection: asked on the next one
      this.#asking = null;
      this._fail(error);
    });
  }

  get _asked() {
    return this.#asking !== null;
  }

  _ask() {}

  /** @param {boolean} ready there is a connection on which it can be told */
  _leave(ready) {
    void ready;
  }

  /**
   * @param {string} method
   * @param {any} params
   */
  _notified(method, params) {
    void [method, params];
  }

  // Beginning and ending ----------------------------------------------------------------------------------------------

  /** A connection is ready. */
  attach() {
    this._ask();
  }

  /** The connection is lost. */
  detach() {
    this.#asking = null;
    this._enter(this._value === undefined ? "loading" : "stale");
  }

  #begin() {
    clearTimeout(this.#resting);
    if (!this.#subscriptions.add(this)) return;
    this._enter(this._value === undefined ? "loading" : "stale");
    if (this._connection.ready) this._ask();
  }

  /** Nobody is subscribed any more; but perhaps somebody is again before this turn of the event loop is over. */
  #rest() {
    clearTimeout(this.#resting);
    this.#resting = setTimeout(() => {
      if (!this.#subscriptions.has(this)) return;
      this.#stop();
      this._enter("idle");
    });
  }

  #stop(tell = true) {
    clearTimeout(this.#resting);
    if (!this.#subscriptions.discard(this)) return;
    this.#asking = null;
    if (tell) this._leave(this._connection.ready);
  }
}

/** All of one connection. */
export class Subscriptions {
  /** @type {Map<string, WeakRef<any>>} those that are in somebody's hands, by what they ask for */
  #known = new Map();
  /** @type {FinalizationRegistry<string>} */
  #forgotten = new FinalizationRegistry((key) => {
    if (!this.#known.get(key)?.deref()) this.#known.delete(key);
  });
  /** @type {Set<Subscription<any>>} */
  #active = new Set();
  /** @type {Map<string, Set<Subscription<any>>>} who gets events, by what they are about */
  #routes = new Map();

  /** @param {Connection} connection */
  constructor(connection) {
    this.connection = connection;
  }

  /**
   * The subscription that asks for this: the one that exists, or a new one. So those who ask for the same share it.
   *
   * @template {Subscription<any>} S
   * @param {any[]} asked what JSON can carry
   * @param {() => S} make
   * @returns {S}
   */
  find(asked, make) {
    let key;
    try {
      key = JSON.stringify(asked);
    } catch (error) {
      throw new LivethingsError("TypeError", `JSON can't carry these values: ${String(error)}`);
    }
    const known = this.#known.get(key)?.deref();
    if (known) return known;
    const made = make();
    this.#known.set(key, new WeakRef(made));
    this.#forgotten.register(made, key);
    return made;
  }

  // For subscriptions -------------------------------------------------------------------------------------------------

  /** @param {Subscription<any>} subscription */
  has(subscription) {
    return this.#active.has(subscription);
  }

  /** @param {Subscription<any>} subscription @returns {boolean} whether it was not there */
  add(subscription) {
    if (this.#active.has(subscription)) return false;
    this.#active.add(subscription);
    return true;
  }

  /** @param {Subscription<any>} subscription @returns {boolean} whether it was there */
  discard(subscription) {
    for (const [route, there] of this.#routes) {
      if (there.delete(subscription) && !there.size) this.#routes.delete(route);
    }
    return this.#active.delete(subscription);
  }

  /**
   * @param {string} route
   * @param {Subscription<any>} subscription
   */
  enter(route, subscription) {
    const there = this.#routes.get(route) ?? new Set();
    this.#routes.set(route, there.add(subscription));
  }

  /** @param {string} route */
  routed(route) {
    return this.#routes.has(route);
  }

  /** @param {(subscription: Subscription<any>) => boolean} condition */
  some(condition) {
    return [...this.#active].some(condition);
  }

  // What the connection says ------------------------------------------------------------------------------------------

  attach() {
    for (const subscription of [...this.#active]) subscription.attach();
  }

  detach() {
    this.#routes.clear();
    for (const subscription of [...this.#active]) subscription.detach();
  }

  /** @param {LivethingsError} error */
  end(error) {
    for (const subscription of [...this.#active]) subscription._fail(error);
  }

  /**
   * @param {string} method
   * @param {any} params
   */
  notified(method, params) {
    for (const route of routesOf(method, params)) {
      for (const subscription of [...(this.#routes.get(route) ?? [])]) subscription._notified(method, params);
    }
  }
}

/**
 * @param {string} method
 * @param {any} params
 * @returns {string[]} what an event is about
 */
function routesOf(method, params) {
  if (method.startsWith("live.")) return [`live ${params.subscription}`];
  if (method === "room.emit" || method === "room.delete") return [`room ${params.id}`];
  if (method.startsWith("presence.")) return ["room" in params ? `in room ${params.room}` : `at thing ${params.thing}`];
  // This connection was too slow, and events were left out.
  if (method === "warning" && params.warn_code === 5) return (params.rooms ?? []).map((/** @type {number} */ id) => `room ${id}`);
  return [];
}
