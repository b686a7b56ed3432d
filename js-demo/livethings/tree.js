/** Deep watches: a thing with what it contains, to a depth, as one value. */

import { isThing } from "./jobs.js";
import { Subscription } from "./subscriptions.js";
import { noId } from "./watches.js";

/** @typedef {import("./subscriptions.js").Subscriptions} Subscriptions */
/** @typedef {import("./watches.js").Watches} Watches */

/** Milliseconds that a value is held back for while a thing in it is not known yet: its init comes behind. */
const PATIENCE = 100;

/**
 * @typedef {object} Node a thing at a depth
 * @property {number} id
 * @property {number} left how much deeper it goes from here
 * @property {any} value frozen; null when it has to be made anew
 * @property {any} last what it was before
 * @property {Set<Node>} parents
 * @property {Set<Node>} children
 */

/**
 * @template [T=any]
 * @extends {Subscription<T>}
 */
export class Tree extends Subscription {
  #watches;
  /** @type {Map<string, Node>} */
  #nodes = new Map();
  /** @type {Set<Node>} those of things that are not known */
  #missing = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #held;
  #complete = false;

  /**
   * @param {Subscriptions} subscriptions
   * @param {Watches} watches
   * @param {string} scope
   * @param {number} id
   * @param {number} deep
   */
  constructor(subscriptions, watches, scope, id, deep) {
    super(subscriptions);
    if (!Number.isSafeInteger(id)) throw noId(id);
    this.#watches = watches;
    /** @readonly */ this.scope = scope;
    /** @readonly */ this.id = id;
    /** @readonly */ this.deep = deep;
  }

  _ask() {
    this.#watches.plant(this);
  }

  _leave() {
    this.#reset();
    this.#watches.fell(this);
  }

  /** @param {import("./errors.js").LivethingsError} error */
  _fail(error) {
    this.#reset();
    super._fail(error);
  }

  #reset() {
    clearTimeout(this.#held);
    this.#complete = false;
    this.#nodes.clear();
    this.#missing.clear();
  }

  detach() {
    this.#complete = false;
    super.detach();
  }

  // For the watches ---------------------------------------------------------------------------------------------------

  /** All that is in reach has come. */
  arrived() {
    this.#complete = true;
    this.show(true);
  }

  /** @param {number} id of a thing that is another now, wherever it is */
  touched(id) {
    for (let left = 0; left <= this.deep; left += 1) {
      const node = this.#nodes.get(`${left} ${id}`);
      if (node) invalidate(node);
    }
  }

  /** The ids of the things in it. */
  known() {
    this.#node(this.id, this.deep);
    return [...this.#nodes.values()].flatMap(({ id, value }) => (value === null ? [] : [id]));
  }

  /** @param {boolean} [now] without waiting for things that are not known */
  show(now = false) {
    if (!this.#complete) return;
    clearTimeout(this.#held);
    this.#held = undefined;
    const value = this.#node(this.id, this.deep).value;
    if (value === null) return; // the root itself is not known: it is gone
    if (!now && this.#missing.size) this.#held = setTimeout(() => this.show(true), PATIENCE);
    else this._set(value);
  }

  /**
   * @param {number} id
   * @param {number} left
   * @returns {Node} with its value
   */
  #node(id, left) {
    const key = `${left} ${id}`;
    const node = this.#nodes.get(key) ?? { id, left, value: null, last: undefined, parents: new Set(), children: new Set() };
    this.#nodes.set(key, node);
    if (node.value !== null) return node;
    const before = node.children;
    node.children = new Set();
    const thing = this.#watches.value(id);
    if (thing) {
      this.#missing.delete(node);
      node.value = left === 0 ? thing : grown(thing, node.last, (reference) => {
        const child = this.#node(reference["#"], left - 1);
        node.children.add(child);
        child.parents.add(node);
        return child.value ?? reference;
      });
      node.last = node.value;
    } else this.#missing.add(node);
    for (const child of before) {
      if (node.children.has(child)) continue;
      child.parents.delete(node);
      this.#prune(child);
    }
    return node;
  }

  /** @param {Node} node that may be nowhere in the tree any more */
  #prune(node) {
    if (node.parents.size || (node.id === this.id && node.left === this.deep)) return;
    this.#nodes.delete(`${node.left} ${node.id}`);
    this.#missing.delete(node);
    for (const child of node.children) {
      child.parents.delete(node);
      this.#prune(child);
    }
  }
}

/** @param {Node} node that has to be made anew, with all that it is in */
function invalidate(node) {
  node.value = null;
  for (const parent of node.parents) if (parent.value !== null) invalidate(parent);
}

/**
 * @param {any} value of a thing that is watched, or in one
 * @param {any} last what was made of it before
 * @param {(reference: any) => any} child what stands for a thing in it
 * @param {boolean} [root] it is the thing itself
 * @returns {any} frozen; `last` itself when it is the same
 */
function grown(value, last, child, root = true) {
  if (typeof value !== "object" || value === null) return value;
  if (!root && isThing(value)) return child(value);
  if (Array.isArray(value)) {
    const list = value.map((item, index) => grown(item, last?.[index], child, false));
    return Array.isArray(last) && same(list, last) ? last : Object.freeze(list);
  }
  const next = root ? Object.create(null) : {};
  for (const name of Object.keys(value)) next[name] = grown(value[name], last?.[name], child, false);
  return typeof last === "object" && last !== null && !Array.isArray(last) && same(next, last) ? last : Object.freeze(next);
}

/**
 * @param {any} one
 * @param {any} other
 */
function same(one, other) {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => Object.hasOwn(other, name) && Object.is(one[name], other[name]));
}
