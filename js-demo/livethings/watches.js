/** What this connection watches. The server knows one watch a thing; any number of callers share it. */

import { LivethingsError, notConnected } from "./errors.js";
import { guarded } from "./listeners.js";

/** @typedef {import("./connection.js").Connection} Connection */
/** @typedef {import("../livethings.js").Job} Job */
/** @typedef {import("../livethings.js").WatchInit} WatchInit */
/** @typedef {import("../livethings.js").WatchHandlers} WatchHandlers */
/** @typedef {{resolve: (value: any) => void, reject: (error: LivethingsError) => void}} Settle */

/**
 * @typedef {object} Subscription what the server knows as one watch
 * @property {string} scope
 * @property {number} id
 * @property {Map<Watch, Settle>} watches with how to settle the promise that `watch()` gave
 * @property {"wanted" | "asked" | "live"} phase to be asked for; asked, its init is to come; up to date
 * @property {number | null} event the last change id seen
 */

/** One caller's watch of one thing; `Livethings.watch` makes them. */
export class Watch {
  #stop;

  /**
   * @param {string} scope
   * @param {number} id
   * @param {WatchHandlers} handlers
   * @param {(watch: Watch) => void} stop
   */
  constructor(scope, id, handlers, stop) {
    /** @readonly */ this.scope = scope;
    /** @readonly */ this.id = id;
    /** @readonly */ this.handlers = handlers;
    this.#stop = stop;
  }

  /** Ends this watch; its handlers are not called any more. */
  stop() {
    this.#stop(this);
  }
}

export class Watches {
  /** @type {Map<number, Subscription>} by the thing's id, which is unique on the whole server */
  #subscriptions = new Map();
  /** @type {Subscription[]} those whose init or warning the server still owes, in the order in which they come */
  #expected = [];
  /** @type {Map<string, number[]>} ids to unwatch, by scope */
  #unwanted = new Map();
  #flushPlanned = false;
  #connection;

  /** @param {Connection} connection */
  constructor(connection) {
    this.#connection = connection;
  }

  /**
   * @param {string} scope
   * @param {number} id
   * @param {WatchHandlers} handlers
   * @returns {Promise<Watch>} when the first init was handled
   */
  watch(scope, id, handlers) {
    if (!Number.isSafeInteger(id)) {
      return Promise.reject(new LivethingsError("TypeError", `The id of a thing is an integer, not ${String(id)}.`));
    }
    if (this.#connection.over) return Promise.reject(notConnected());
    const watch = new Watch(scope, id, handlers, (ended) => this.#drop(ended));
    const subscription = this.#subscriptions.get(id) ?? { scope, id, watches: new Map(), phase: "wanted", event: null };
    this.#subscriptions.set(id, subscription);
    subscription.phase = "wanted"; // asked for again if it was live: the newcomer needs an init
    this.#planFlush();
    return new Promise((resolve, reject) => void subscription.watches.set(watch, { resolve, reject }));
  }

  /**
   * @param {string} scope
   * @param {number} id
   */
  unwatch(scope, id) {
    for (const watch of [...(this.#subscriptions.get(id)?.watches.keys() ?? [])]) {
      if (watch.scope === scope) watch.stop();
    }
  }

  // What the connection says --------------------------------------------------------------------------------------

  attach() {
    this.#planFlush();
  }

  detach() {
    for (const subscription of this.#subscriptions.values()) subscription.phase = "wanted";
    this.#expected = [];
    this.#unwanted.clear();
  }

  /** @param {LivethingsError} error */
  end(error) {
    const subscriptions = [...this.#subscriptions.values()];
    this.detach();
    this.#subscriptions.clear();
    for (const { watches } of subscriptions) for (const { reject } of watches.values()) reject(error);
  }

  /**
   * @param {string} method
   * @param {any} params
   */
  notified(method, params) {
    if (method === "watch.init") this.#onInit(params);
    else if (method === "watch.update") this.#onUpdate(params);
    else if (method === "watch.delete") this.#gone(this.#subscriptions.get(params["#"]));
    else if (method === "watch.stop") this.#onStop(params["#"]);
    else if (method === "warning" && params.warn_code === 1) this.#gone(this.#expected.shift(), params.warn_msg);
  }

  /** What is watched and unwatched in one go becomes one request a scope. */
  #planFlush() {
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    queueMicrotask(() => {
      this.#flushPlanned = false;
      if (!this.#connection.ready) return; // `attach` comes back to it
      for (const [scope, ids] of this.#unwanted) this.#connection.ask("unwatch", { scope, ids });
      this.#unwanted.clear();
      /** @type {Map<string, Subscription[]>} */
      const wanted = new Map();
      for (const subscription of this.#subscriptions.values()) {
        if (subscription.phase !== "wanted") continue;
        subscription.phase = "asked";
        wanted.set(subscription.scope, [...(wanted.get(subscription.scope) ?? []), subscription]);
      }
      for (const [scope, subscriptions] of wanted) this.#ask(scope, subscriptions);
    });
  }

  /**
   * @param {string} scope
   * @param {Subscription[]} subscriptions
   */
  #ask(scope, subscriptions) {
    const granted = () => void this.#expected.push(...[...subscriptions].reverse()); // the last id is answered first
    const refused = (/** @type {LivethingsError} */ error) => {
      if (error.code === null) return; // not the server's word; asked again on the next connection
      for (const subscription of subscriptions) this.#finish(subscription, (watch) => watch.handlers.stop?.(error), error);
    };
    this.#connection.ask("watch", { scope, ids: subscriptions.map(({ id }) => id) }, granted, refused);
  }

  /** @param {WatchInit} init */
  #onInit(init) {
    const id = init.thing["#"];
    const place = this.#expected.findIndex((subscription) => subscription.id === id);
    const [answered] = place < 0 ? [undefined] : this.#expected.splice(place, 1);
    const subscription = this.#subscriptions.get(id);
    if (!subscription) return;
    // An init that an earlier, dropped watch had asked for is shown too, but the own one is still to come.
    if (answered === subscription && subscription.phase === "asked") subscription.phase = "live";
    subscription.event = init.event;
    for (const [watch, { resolve }] of [...subscription.watches]) {
      guarded(watch.handlers.init, init);
      resolve(watch);
    }
  }

  /** @param {{"#": number, event: number, jobs: Job[]}} update */
  #onUpdate({ "#": id, event, jobs }) {
    const subscription = this.#subscriptions.get(id);
    if (!subscription || subscription.event === null || event < subscription.event) return;
    subscription.event = event;
    for (const watch of [...subscription.watches.keys()]) guarded(watch.handlers.update, jobs, event);
  }

  /** @param {number} id */
  #onStop(id) {
    const subscription = this.#subscriptions.get(id);
    // While an init is on its way, this is the answer to an unwatch from before.
    if (subscription?.phase === "live") this.#finish(subscription, (watch) => watch.handlers.stop?.(null));
  }

  /**
   * @param {Subscription | undefined} subscription
   * @param {string} [message]
   */
  #gone(subscription, message = "The thing is gone.") {
    if (!subscription) return;
    const error = new LivethingsError("LookupError", message, -54);
    this.#finish(subscription, (watch) => subscription.event !== null && watch.handlers.delete?.(), error);
  }

  /**
   * @param {Subscription} subscription
   * @param {(watch: Watch) => void} tell
   * @param {LivethingsError} [error] for those that wait for their first init
   */
  #finish(subscription, tell, error = new LivethingsError("ClosedError", "The server ended the watch.")) {
    if (this.#subscriptions.get(subscription.id) !== subscription) return;
    this.#subscriptions.delete(subscription.id);
    for (const [watch, { reject }] of subscription.watches) {
      guarded(tell, watch);
      reject(error);
    }
  }

  /** @param {Watch} watch */
  #drop(watch) {
    const subscription = this.#subscriptions.get(watch.id);
    const settle = subscription?.watches.get(watch);
    if (!subscription || !settle) return;
    settle.reject(new LivethingsError("ClosedError", "The watch was stopped."));
    subscription.watches.delete(watch);
    if (subscription.watches.size) return;
    this.#subscriptions.delete(watch.id);
    if (!this.#connection.ready || (subscription.phase === "wanted" && subscription.event === null)) return;
    this.#unwanted.set(subscription.scope, [...(this.#unwanted.get(subscription.scope) ?? []), watch.id]);
    this.#planFlush();
  }
}
