/** Live queries: the result of a query or procedure, kept up to date by the server. */

import { serverErrorByCode } from "./errors.js";
import { frozen, patched, shared } from "./sharing.js";
import { Subscription } from "./subscriptions.js";

/** @typedef {import("./subscriptions.js").Subscriptions} Subscriptions */

/**
 * @template T
 * @extends {Subscription<T>}
 */
export class LiveQuery extends Subscription {
  #asked;
  /** @type {number | null} */
  #number = null;
  #known = false;

  /**
   * @param {Subscriptions} subscriptions
   * @param {object} asked the parameters of `subscribe`
   */
  constructor(subscriptions, asked) {
    super(subscriptions);
    this.#asked = asked;
    /** @type {number} the change id that the value is true at; 0 before the first */
    this.change = 0;
  }

  _ask() {
    this.#number = null;
    this._request("subscribe", this.#known ? { ...this.#asked, since: this.change } : this.#asked, (reply) => {
      this.#number = reply.subscription;
      this._listen(`live ${reply.subscription}`);
      this.change = reply.change;
      if (reply.resumed) this._enter("live");
      else this.#take(this.#known ? shared(this._value, reply.value) : frozen(reply.value));
    }, (reply) => this.#unsubscribe(reply.subscription));
  }

  /** @param {boolean} ready */
  _leave(ready) {
    if (ready && this.#number !== null) this.#unsubscribe(this.#number);
    this.#number = null;
  }

  /**
   * @param {string} method
   * @param {any} params
   */
  _notified(method, params) {
    if (method === "live.end") return this._fail(serverErrorByCode(params.error_code, params.error_msg));
    this.change = params.change;
    if (!("patch" in params)) return this.#take(shared(this._value, params.value));
    let next;
    try {
      next = patched(this._value, params.patch);
    } catch (error) { // what is known here is not what the server takes it for: begin anew
      console.error(error);
      this.#known = false;
      this._leave(true);
      this._ask();
      return;
    }
    this.#take(next);
  }

  /** @param {any} value frozen */
  #take(value) {
    this.#known = true;
    this._set(value);
  }

  /** @param {number} number */
  #unsubscribe(number) {
    this._connection.ask("unsubscribe", { subscriptions: [number] });
  }
}
