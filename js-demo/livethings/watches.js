/**
 * What this connection watches. The server knows one watch a thing; any number of callers share it. What is in reach of
 * deep watches is watched with them. On a new connection everything goes on where it was: the server sends what was
 * missed, or fresh states when it does not know that any more.
 */

import { LivethingsError, notConnected } from "./errors.js";
import { guarded } from "./listeners.js";
import { Watched, depth } from "./watched.js";

/** @typedef {import("./connection.js").Connection} Connection */
/** @typedef {import("./tree.js").Tree} Tree */
/** @typedef {import("./watched.js").Interest} Interest */
/** @typedef {import("../livethings.js").Job} Job */
/** @typedef {import("../livethings.js").Thing} Thing */
/** @typedef {import("../livethings.js").WatchInit} WatchInit */
/** @typedef {import("../livethings.js").WatchHandlers} WatchHandlers */

/** Milliseconds after which a change counts as told whole, though nothing has come behind it. */
const SETTLES_IN = 5;

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
  /** @type {Map<number, Watched>} by the thing's id, which is unique on the whole server */
  #things = new Map();
  /** @type {Set<Tree>} */
  #trees = new Set();
  /** @type {Interest[]} those whose init or warning the server still owes, in the order in which they come */
  #expected = [];
  /** @type {Map<string, number[]>} ids to unwatch, by scope */
  #unwanted = new Map();
  #flushPlanned = false;
  /** The last change of which everything has come. */
  #complete = 0;
  /** This client was too slow: from now on, what comes of one thing says nothing of what has come of the others. */
  #leftOut = false;
  /** How many requests are under way that bring what was missed, or what is in reach. */
  #reaching = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} runs while a change is being told */
  #settling = undefined;
  /** The change that is being told. */
  #telling = 0;
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
    if (!Number.isSafeInteger(id)) return Promise.reject(noId(id));
    if (this.#connection.over) return Promise.reject(notConnected());
    const watch = new Watch(scope, id, handlers, (ended) => this.#drop(ended));
    const thing = this.#watched(scope, id);
    thing.own = this.#want(thing, thing.own); // asked for again if it was live: the newcomer needs an init
    return new Promise((resolve, reject) => void thing.watches.set(watch, { resolve, reject, told: false }));
  }

  /**
   * @param {string} scope
   * @param {number} id
   */
  unwatch(scope, id) {
    for (const watch of [...(this.#things.get(id)?.watches.keys() ?? [])]) {
      if (watch.scope === scope) watch.stop();
    }
  }

  // For trees -------------------------------------------------------------------------------------------------------

  /**
   * Watches what a tree shows; it is told by `touched`, `arrived` and `_fail`.
   *
   * @param {Tree} tree
   */
  plant(tree) {
    if (this.#trees.has(tree)) return;
    const thing = this.#watched(tree.scope, tree.id);
    this.#trees.add(tree);
    thing.trees.add(tree);
    thing.root = this.#want(thing, thing.root);
  }

  /** @param {Tree} tree that is not to be shown any more */
  fell(tree) {
    const thing = this.#things.get(tree.id);
    if (!this.#trees.delete(tree) || !thing) return;
    thing.trees.delete(tree);
    this.#letGo(thing);
    this.#tidy();
  }

  /** @param {number} id @returns {Thing | null} as it is known to be */
  value(id) {
    return this.#things.get(id)?.value ?? null;
  }

  // What the connection says --------------------------------------------------------------------------------------

  attach() {
    this.#planFlush();
  }

  detach() {
    for (const thing of this.#things.values()) {
      thing.stale = true;
      if (!thing.trees.size) thing.root = null;
      for (const interest of [thing.own, thing.root]) {
        if (!interest) continue;
        interest.resumable = (interest.phase === "live" && !interest.behind) || (interest.phase === "wanted" && interest.resumable);
        interest.phase = "wanted";
        interest.behind = false;
      }
    }
    this.#expected = [];
    this.#unwanted.clear();
    this.#reaching = 0;
    this.#leftOut = false;
  }

  /** @param {LivethingsError} error */
  end(error) {
    const things = [...this.#things.values()];
    this.detach();
    this.#things.clear();
    this.#trees.clear(); // they are told by the keeper of all stores
    this.#complete = 0;
    for (const { watches } of things) for (const { reject } of watches.values()) reject(error);
  }

  /**
   * @param {string} method
   * @param {any} params
   */
  notified(method, params) {
    const change = params.event ?? (method === "watch.delete" ? this.#telling : undefined);
    if (!method.startsWith("watch.") || change !== this.#telling) this.answered();
    this.#telling = change ?? 0;
    if (method === "watch.init") this.#onInit(params);
    else if (method === "watch.update") this.#onUpdate(params);
    else if (method === "watch.delete") {
      this.#expected = this.#expected.filter(({ thing }) => thing.id !== params["#"]);
      this.#gone(this.#things.get(params["#"]));
    } else if (method === "watch.stop") this.#onStop(params);
    else if (method === "warning" && params.warn_code === 1) this.#gone(this.#expected.shift()?.thing, params.warn_msg);
    else if (method === "warning" && params.warn_code === 4) {
      this.#endTrees(this.#things.get(params.thing), new LivethingsError("OperationError", params.warn_msg, -63));
    }
  }

  /**
   * @param {string} scope
   * @param {number} id
   * @returns {Watched}
   */
  #watched(scope, id) {
    const thing = this.#things.get(id) ?? new Watched(scope, id);
    this.#things.set(id, thing);
    return thing;
  }

  /**
   * @param {Watched} thing
   * @param {Interest | null} known
   * @returns {Interest} that is asked for, whatever is known already
   */
  #want(thing, known) {
    const interest = known ?? { thing, phase: "wanted", behind: false, resumable: false };
    interest.phase = "wanted";
    interest.resumable = false;
    this.#planFlush();
    return interest;
  }

  /** What is watched and unwatched in one go becomes as few requests as can be. */
  #planFlush() {
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    queueMicrotask(() => {
      this.#flushPlanned = false;
      if (!this.#connection.ready) return; // `attach` comes back to it
      for (const [scope, ids] of this.#unwanted) this.#connection.ask("unwatch", { scope, ids });
      this.#unwanted.clear();
      /** @type {Map<string, Interest[]>} */
      const alike = new Map(); // what one request can ask for
      for (const { scope, own, root } of this.#things.values()) {
        for (const interest of [own, root]) {
          if (interest?.phase !== "wanted") continue;
          interest.phase = "asked";
          const key = JSON.stringify([scope, depth(interest), interest.resumable]);
          const others = alike.get(key);
          if (others) others.push(interest);
          else alike.set(key, [interest]);
        }
      }
      for (const interests of alike.values()) this.#ask(interests);
    });
  }

  /** @param {Interest[]} interests to be asked for in one request */
  #ask(interests) {
    const [first] = interests;
    if (!first) return;
    const deep = depth(first);
    const since = first.resumable ? this.#complete : undefined;
    const ids = interests.map(({ thing }) => thing.id);
    const trees = since !== undefined && deep ? interests.flatMap(({ thing }) => [...thing.trees]) : [];
    const known = trees.length ? [...new Set(trees.flatMap((tree) => tree.known()))] : undefined;
    const granted = (/** @type {{change: number, resumed?: boolean} | null} */ reply) => {
      if (reply?.resumed) {
        for (const interest of interests) {
          interest.phase = "live";
          interest.thing.stale = false;
          interest.thing.resume();
        }
        if (deep !== undefined) this.#resumeReached();
      } else {
        this.#expected.push(...[...interests].reverse()); // the last id is answered first
        if (reply) this.#came(reply.change);
      }
    };
    const refused = (/** @type {LivethingsError} */ error) => {
      if (error.code === null) return; // not the server's word; asked again on the next connection
      for (const interest of interests) {
        if (interest === interest.thing.root) this.#endTrees(interest.thing, error);
        else this.#finish(interest.thing, (watch) => watch.handlers.stop?.(error), error);
      }
    };
    this.#connection.ask("watch", { scope: first.thing.scope, ids, deep, since, known }, granted, refused);
    for (const interest of interests) {
      interest.behind = since !== undefined;
      interest.resumable = false;
      if (interest === interest.thing.root && deep === 0) interest.thing.root = null; // with this it has ended
    }
    if (deep === undefined && since === undefined) return;
    this.#reaching += 1;
    this.#connection.ask("ping", {}, () => { // answered behind all that was missed, and all that is in reach
      this.#reaching -= 1;
      if (!this.#reaching) this.#tidy(true);
      for (const interest of interests) {
        interest.behind = false;
        if (interest === interest.thing.root) for (const tree of interest.thing.trees) tree.arrived();
      }
    });
  }

  /** What is in reach of deep watches goes on where it was. */
  #resumeReached() {
    for (const thing of this.#things.values()) {
      thing.resume(); // also what is watched by itself, and is told twice for that
      if (!thing.own && !thing.root) thing.stale = false;
    }
  }

  /**
   * Forgets what no deep watch reaches any more.
   *
   * @param {boolean} [caughtUp] what is still stale has not been told of
   */
  #tidy(caughtUp = false) {
    for (const thing of [...this.#things.values()]) {
      if (!thing.own && !thing.root && ((caughtUp && thing.stale) || !this.#trees.size)) this.#forget(thing);
    }
  }

  /** @param {WatchInit} init */
  #onInit(init) {
    const id = init.thing["#"];
    const place = this.#expected.findIndex(({ thing }) => thing.id === id);
    const [answered] = place < 0 ? [undefined] : this.#expected.splice(place, 1);
    let thing = this.#things.get(id);
    if (!thing) {
      if (!this.#trees.size) return; // code has it watched, or an earlier watch had asked for it
      thing = this.#watched(`//${init.collection}`, id);
    }
    // An init that an earlier, dropped watch had asked for is shown too, but the own one is still to come.
    if (answered?.thing === thing && answered.phase === "asked") answered.phase = "live";
    if (this.#connection.leavesOut && !answered && !this.#reaching && thing.value && !thing.stale) this.#leftOut = true;
    this.#came(init.event);
    // Somebody else has asked for it, or a deep watch brings it; but that of a root also tells definitions.
    const known = !thing.begin(init) && !init.types;
    for (const [watch, settle] of [...thing.watches]) {
      if (known && settle.told) continue;
      settle.told = true;
      guarded(watch.handlers.init, init, thing.value);
      settle.resolve(watch);
    }
    if (!known) this.#touched(id);
  }

  /** @param {{"#": number, event: number, jobs: Job[]}} update */
  #onUpdate({ "#": id, event, jobs: told }) {
    this.#came(event - 1); // the change itself may still come in part
    const thing = this.#things.get(id);
    const before = thing?.value;
    if (!thing || !before) return;
    const jobs = thing.apply(event, told);
    if (!jobs.length) return;
    for (const watch of [...thing.watches.keys()]) guarded(watch.handlers.update, jobs, event, thing.value);
    if (thing.value !== before) this.#touched(id);
  }

  /** @param {{"#": number, event?: number}} stop */
  #onStop({ "#": id, event = 0 }) {
    this.#came(event - 1);
    // An init that is still owed then was left out, since we were too slow.
    const owed = this.#expected.find((interest) => interest.thing.id === id);
    if (owed) this.#expected = this.#expected.filter((interest) => interest.thing.id !== id);
    const thing = this.#things.get(id);
    if (!thing) return;
    const phases = [thing.own?.phase, thing.root?.phase].filter(Boolean);
    if (!phases.length) this.#forget(thing); // it has left the reach of deep watches
    else if (phases.includes("live") || owed?.thing === thing) {
      this.#finish(thing, (watch) => watch.handlers.stop?.(null));
    } // else this is the answer to an unwatch from before
  }

  /**
   * The server does not watch a thing deep, or does so no more.
   *
   * @param {Watched | undefined} thing
   * @param {LivethingsError} error
   */
  #endTrees(thing, error) {
    if (!thing) return;
    const trees = [...thing.trees];
    thing.trees.clear();
    thing.root = null;
    for (const tree of trees) this.#trees.delete(tree);
    if (!thing.own && !this.#trees.size) this.#forget(thing);
    for (const tree of trees) tree._fail(error);
    this.#tidy();
  }

  /**
   * @param {Watched | undefined} thing
   * @param {string} [message]
   */
  #gone(thing, message = "The thing is gone.") {
    if (!thing) return;
    const error = new LivethingsError("LookupError", message, -54);
    this.#finish(thing, (watch) => thing.value && watch.handlers.delete?.(), error);
  }

  /**
   * @param {Watched} thing
   * @param {(watch: Watch) => void} tell
   * @param {LivethingsError} [error] for those that wait for their first init, and for trees
   */
  #finish(thing, tell, error = new LivethingsError("ClosedError", "The server ended the watch.")) {
    if (this.#things.get(thing.id) !== thing) return;
    this.#forget(thing);
    for (const [watch, { reject }] of thing.watches) {
      guarded(tell, watch);
      reject(error);
    }
    for (const tree of thing.trees) {
      this.#trees.delete(tree);
      tree._fail(error);
    }
    this.#tidy();
  }

  /** @param {Watched} thing */
  #forget(thing) {
    this.#things.delete(thing.id);
    this.#touched(thing.id);
  }

  /** @param {number} change that has come whole, as have all before it */
  #came(change) {
    if (!this.#leftOut) this.#complete = Math.max(this.#complete, change);
  }

  /** @param {number} id of a thing that is another now, wherever trees show it */
  #touched(id) {
    for (const tree of this.#trees) tree.touched(id);
    if (this.#trees.size) this.#settling ??= setTimeout(() => this.answered(), SETTLES_IN);
  }

  /** Whatever comes now, a change that was being told has been told whole: trees show it. */
  answered() {
    if (this.#settling === undefined) return;
    clearTimeout(this.#settling);
    this.#settling = undefined;
    for (const tree of this.#trees) tree.show();
  }

  /** @param {Watch} watch */
  #drop(watch) {
    const thing = this.#things.get(watch.id);
    const settle = thing?.watches.get(watch);
    if (!thing || !settle) return;
    settle.reject(new LivethingsError("ClosedError", "The watch was stopped."));
    thing.watches.delete(watch);
    this.#letGo(thing);
  }

  /** @param {Watched} thing that fewer are interested in */
  #letGo(thing) {
    const { own, root, watches, trees } = thing;
    if (watches.size || trees.size) {
      if (!watches.size) thing.own = null; // the server says all of it anyway, and is told with the end of the trees
      if (!trees.size && !this.#connection.ready) thing.root = null;
      else if (!trees.size && root) this.#want(thing, root); // without what it contains, from now on
      return;
    }
    const told = [own, root].some((interest) => interest && (interest.phase !== "wanted" || thing.value));
    thing.own = thing.root = null;
    // It may be in reach of another deep watch: then the server goes on to tell of it, else it says that it stops.
    if (!this.#trees.size || !thing.value) this.#forget(thing);
    if (!this.#connection.ready || !told) return;
    this.#unwanted.set(thing.scope, [...(this.#unwanted.get(thing.scope) ?? []), thing.id]);
    this.#planFlush();
  }
}

/** @param {any} id */
export function noId(id) {
  return new LivethingsError("TypeError", `The id of a thing is an integer, not ${String(id)}.`);
}
