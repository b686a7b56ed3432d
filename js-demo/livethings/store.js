/** A value that others follow, by the contracts of React's `useSyncExternalStore` and of Svelte's stores. */

import { guarded } from "./listeners.js";

/**
 * The writing end of a store. `subscribe` and `getSnapshot` are its reading end; they need no `this`.
 *
 * @template T
 */
export class Source {
  #value;
  /** @type {Set<{listener: (value: T) => void}>} */
  #readers = new Set();
  #joined;
  #left;

  /**
   * @param {T} value
   * @param {() => void} [joined] called when somebody has subscribed
   * @param {() => void} [left] called when nobody is subscribed any more
   */
  constructor(value, joined = () => {}, left = () => {}) {
    this.#value = value;
    this.#joined = joined;
    this.#left = left;
  }

  /** Does anybody follow it? */
  get followed() {
    return this.#readers.size > 0;
  }

  /** @param {T} value told to all who follow it, unless it is the same */
  set(value) {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const { listener } of [...this.#readers]) guarded(listener, value);
  }

  /**
   * Calls the listener at once and with each new value.
   *
   * @param {(value: T) => void} listener
   * @returns {() => void} ends that
   */
  subscribe = (listener) => {
    const reader = { listener }; // the same function may subscribe twice
    this.#readers.add(reader);
    this.#joined();
    guarded(listener, this.#value);
    return () => {
      if (this.#readers.delete(reader) && !this.#readers.size) this.#left();
    };
  };

  /** @returns {T} the same object as long as nothing has changed */
  getSnapshot = () => this.#value;
}
