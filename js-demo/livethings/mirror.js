/** Things mirrored: objects that stay as a thing is on the server. */

import { Listeners, guarded } from "./listeners.js";

/** @typedef {import("./errors.js").LivethingsError} LivethingsError */
/** @typedef {import("./database.js").Livethings} Livethings */
/** @typedef {import("./watches.js").Watch} Watch */
/** @typedef {import("../livethings.js").Job} Job */
/** @typedef {import("../livethings.js").Thing} Thing */
/** @typedef {import("../livethings.js").WatchInit} WatchInit */
/** @typedef {{kind: "init", event: number} | {kind: "update", event: number, jobs: Job[]}} MirrorChange */

/**
 * A thing as it is on the server. `value` is replaced, never changed, when the thing changes, so that it can be
 * compared by `===` and kept. Things in it are references, `{"#": id}`; `follow` mirrors them in turn.
 *
 * @template {Thing} [T=Thing]
 */
export class Mirror {
  #db;
  #closed;
  #users = 0;
  #listeners = new Listeners();
  /** @type {Promise<Watch> | null} */
  #opening = null;
  /** @type {Watch | null} */
  #watch = null;

  /**
   * @param {Livethings} db
   * @param {string} scope
   * @param {number} id
   * @param {() => void} closed called when it is of no use any more
   */
  constructor(db, scope, id, closed) {
    /** @readonly */ this.scope = scope;
    /** @readonly */ this.id = id;
    /** @readonly with getSnapshot a store; they need no `this` */
    this.subscribe = (/** @type {(value: T, change: MirrorChange | null) => void} */ listener) => {
      const stop = this.#listeners.add("change", listener);
      guarded(listener, this.value, null);
      return stop;
    };
    /** @readonly */ this.getSnapshot = () => this.value;
    this.#db = db;
    this.#closed = closed;
    /** @type {T} the thing, with its id under `"#"` */
    this.value = Object.freeze(Object.assign(Object.create(null), { "#": id }));
    /** @type {number} the change id that `value` is true at */
    this.event = 0;
    /** @type {{enums: any[], types: any[], procedures: any[]} | null} of the collection, when this is its root; as they
     * were at the last init */
    this.definitions = null;
    /** @type {"gone" | "stopped" | null} why it does not change any more */
    this.ended = null;
  }

  /**
   * One more user; `Livethings.mirror` calls this.
   *
   * @returns {Promise<this>}
   */
  async open() {
    this.#users += 1;
    this.#opening ??= this.#db.watch(this.scope, this.id, {
      init: (init, thing) => this.#init(init, thing),
      update: (jobs, event, thing) => this.#update(jobs, event, thing),
      delete: () => this.#end("gone"),
      stop: (error) => this.#end("stopped", error),
    });
    try {
      this.#watch = await this.#opening;
    } catch (error) {
      this.#closed();
      throw error;
    }
    return this;
  }

  /** One user less; with the last one the thing is not watched any more. */
  close() {
    this.#users -= 1;
    if (this.#users > 0) return;
    this.#closed();
    this.#watch?.stop();
  }

  /**
   * Listens to `"event"` (name, args): what `emit` on the thing sends; or to `"end"` (reason, error): the mirror does
   * not change any more.
   *
   * @param {"event" | "end"} name
   * @param {(...args: any[]) => void} listener
   * @returns {() => void} stops listening
   */
  on(name, listener) {
    return this.#listeners.add(name, listener);
  }

  /**
   * Mirrors a thing that this one refers to.
   *
   * @template {Thing} [R=Thing]
   * @param {Thing} reference `{"#": id}`
   * @returns {Promise<Mirror<R>>}
   */
  follow(reference) {
    return this.#db.mirror(this.scope, reference["#"]);
  }

  /**
   * @param {WatchInit} init
   * @param {Thing} thing
   */
  #init(init, thing) {
    this.value = /** @type {T} */ (thing);
    this.event = init.event;
    if (init.types) {
      this.definitions = { enums: init.enums ?? [], types: init.types, procedures: init.procedures ?? [] };
    }
    this.#listeners.call("change", this.value, { kind: "init", event: init.event });
  }

  /**
   * @param {Job[]} jobs
   * @param {number} event
   * @param {Thing} thing
   */
  #update(jobs, event, thing) {
    this.value = /** @type {T} */ (thing);
    this.event = event;
    for (const job of jobs) if ("event" in job) this.#listeners.call("event", job.event[0], job.event.slice(1));
    if (jobs.some((job) => !("event" in job))) {
      this.#listeners.call("change", this.value, { kind: "update", event, jobs });
    }
  }

  /**
   * @param {"gone" | "stopped"} reason
   * @param {LivethingsError | null} [error]
   */
  #end(reason, error = null) {
    this.ended = reason;
    this.#closed();
    this.#listeners.call("end", reason, error);
  }
}
