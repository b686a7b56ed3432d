/** Calling functions of the application, whatever they do. */

/**
 * Calls a function of the application; what it throws goes to the console, since the client must go on.
 *
 * @param {((...args: any[]) => void) | undefined} callback
 * @param {any[]} args
 */
export function guarded(callback, ...args) {
  try {
    callback?.(...args);
  } catch (error) {
    console.error(error);
  }
}

/** Listeners by name; a listener that throws is reported and hurts no other. */
export class Listeners {
  /** @type {Map<string, Set<(...args: any[]) => void>>} */
  #byName = new Map();

  /**
   * @param {string} name
   * @param {(...args: any[]) => void} listener
   * @returns {() => void} takes the listener away again
   */
  add(name, listener) {
    const own = (/** @type {any[]} */ ...args) => listener(...args); // the same function may listen twice
    if (!this.#byName.has(name)) this.#byName.set(name, new Set());
    this.#byName.get(name)?.add(own);
    return () => void this.#byName.get(name)?.delete(own);
  }

  /**
   * @param {string} name
   * @param {any[]} args
   */
  call(name, ...args) {
    for (const listener of [...(this.#byName.get(name) ?? [])]) guarded(listener, ...args);
  }
}
