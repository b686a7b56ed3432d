/** A thing that the server tells a connection about: who is interested in it, and what is known of it. */

import { applyJobs, mirrored } from "./jobs.js";

/** @typedef {import("./errors.js").LivethingsError} LivethingsError */
/** @typedef {import("./tree.js").Tree} Tree */
/** @typedef {import("./watches.js").Watch} Watch */
/** @typedef {import("../livethings.js").Job} Job */
/** @typedef {import("../livethings.js").Thing} Thing */
/** @typedef {import("../livethings.js").WatchInit} WatchInit */

/**
 * @typedef {object} Settle how the promise that `watch()` gave is settled
 * @property {(watch: Watch) => void} resolve
 * @property {(error: LivethingsError) => void} reject
 * @property {boolean} told it has had an init
 */

/**
 * @typedef {object} Interest what the server knows as one watch
 * @property {Watched} thing
 * @property {"wanted" | "asked" | "live"} phase to be asked for; asked, its init is to come; up to date
 * @property {boolean} behind what was missed while there was no connection is still coming
 * @property {boolean} resumable it was up to date when the connection was lost
 */

/** With neither `own` nor `root` it is only in reach of a deep watch. */
export class Watched {
  /** @type {Map<Watch, Settle>} of callers */
  watches = new Map();
  /** @type {Set<Tree>} deep watches that begin here */
  trees = new Set();
  /** @type {Interest | null} it is watched by itself */
  own = null;
  /** @type {Interest | null} it is watched with what it contains */
  root = null;
  /** What is known of it is from an earlier connection. */
  stale = false;
  /** @type {Thing | null} */
  value = null;
  /** The change that `value` is true at. */
  #event = 0;
  /** How many of that change's jobs are in `value`; Infinity: all. */
  #jobs = 0;
  /** @type {number | null} how many of that change's jobs were told again after a reconnect; null: none will be */
  #replayed = null;

  /**
   * @param {string} scope
   * @param {number} id
   */
  constructor(scope, id) {
    this.scope = scope;
    this.id = id;
  }

  /**
   * Takes in a whole state.
   *
   * @param {WatchInit} init
   * @returns {boolean} whether it says anything new
   */
  begin(init) {
    const value = mirrored(init.thing, this.value);
    const fresh = value !== this.value || this.stale;
    this.value = value;
    this.stale = false;
    this.#event = init.event;
    this.#jobs = Infinity;
    this.#replayed = null;
    return fresh;
  }

  /** What was missed comes now. The last change that is known may be told once more, since it may have come in part. */
  resume() {
    this.#replayed = 0;
  }

  /**
   * Takes in what a change did.
   *
   * @param {number} event
   * @param {Job[]} told
   * @returns {Job[]} those that are new
   */
  apply(event, told) {
    if (!this.value || event < this.#event) return [];
    let jobs = told;
    if (event > this.#event) this.#replayed = null;
    if (this.#replayed !== null) {
      const before = this.#replayed;
      this.#replayed += told.length;
      jobs = told.slice(Math.max(0, Math.min(this.#jobs, this.#replayed) - before));
    }
    if (!jobs.length) return jobs;
    this.#jobs = jobs.length + (event === this.#event ? this.#jobs : 0);
    this.#event = event;
    this.value = applyJobs(this.value, jobs);
    return jobs;
  }
}

/** @param {Interest} interest @returns {number | undefined} how deep it is to be watched; undefined: by itself */
export function depth(interest) {
  const { root, trees } = interest.thing;
  return interest === root ? Math.max(0, ...[...trees].map((tree) => tree.deep)) : undefined;
}
