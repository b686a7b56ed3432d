/**
 * One connection that heals itself: opening, logging in, requests and their answers, silence, and trying again. What
 * lives on the server for as long as a connection does (watches, rooms, live queries) is kept by `Keeper`s, which ask
 * for it anew on each connection.
 */

import { LivethingsError, notConnected, serverError } from "./errors.js";
import { Listeners } from "./listeners.js";

/** @typedef {import("../livethings.js").State} State */
/** @typedef {import("../livethings.js").StateChange} StateChange */
/** @typedef {import("../livethings.js").Credentials} Credentials */

/**
 * @typedef {object} Keeper
 * @property {() => void} attach a connection is ready: ask for everything on it
 * @property {() => void} detach the connection is lost
 * @property {(error: LivethingsError) => void} end there won't be another one: forget everything
 * @property {(method: string, params: any) => void} notified an event has come
 * @property {() => void} [answered] a request is about to be answered
 */

/**
 * @typedef {object} Request one that has been sent, or waits to be
 * @property {string} method
 * @property {object} params
 * @property {(result: any) => void} onResult called while the reply is being read, before any later event
 * @property {(error: LivethingsError) => void} onError
 * @property {ReturnType<typeof setTimeout> | undefined} timer
 */

/** Errors of `auth` after which trying again with the same credentials is of no use. */
const FINAL = new Set(["AuthError", "BadDataError", "ForbiddenError"]);

/** Milliseconds that a connection must last before the next loss starts with the shortest delay again. */
const STABLE_AFTER = 5_000;

export class Connection {
  /** what the application listens to: `"state"`, events by their method, `"notification"` */
  listeners = new Listeners();
  /** @type {Keeper[]} */
  keepers = [];
  /** @type {State} */
  #state = "idle";
  #status = /** @type {StateChange} */ ({ state: "idle", reason: "", error: null, retryIn: null });
  /** @type {WebSocket | null} */
  #socket = null;
  #lastId = 0;
  /** @type {Map<number, Request>} */
  #sent = new Map();
  /** @type {Set<Request>} */
  #waiting = new Set();
  #attempt = 0;
  #goodbye = "";
  #timers = /** @type {{[name: string]: ReturnType<typeof setTimeout> | undefined}} */ ({});
  /** @type {{promise: Promise<void>, resolve: () => void, reject: (error: LivethingsError) => void} | null} */
  #connecting = null;
  #readySince = 0;
  /** @type {Credentials | null} */
  #credentials;
  #options;

  /** @param {import("../livethings.js").Options} [options] */
  constructor(options = {}) {
    const { user, password, token, ...rest } = options;
    this.#credentials = token !== undefined ? { token } : user !== undefined ? { user, password: password ?? "" } : null;
    this.#options = {
      url: rest.url ?? pageAddress(),
      reconnect: rest.reconnect ?? true,
      requestTimeout: rest.requestTimeout ?? 30_000,
      connectTimeout: rest.connectTimeout ?? 10_000,
      retryDelay: rest.retryDelay ?? 250,
      retryDelayMax: rest.retryDelayMax ?? 15_000,
      heartbeat: rest.heartbeat ?? 20_000,
      maxWaiting: rest.maxWaiting ?? 1_000,
      slow: rest.slow,
      WebSocket: rest.WebSocket ?? globalThis.WebSocket,
      random: rest.random ?? Math.random,
    };
  }

  /** @returns {State} */
  get state() {
    return this.#state;
  }

  /** @returns {StateChange} */
  get status() {
    return this.#status;
  }

  /** The browser keeps pages that were left, for a way back: one that nobody sees must not keep its connection. */
  #left = () => {
    if (this.over) return;
    this.#lost("the page was left");
    this.#clearTimer("retry");
  };
  #back = () => this.retryNow();

  /** Does the server leave events out when this client is too slow, and tell fresh state later? */
  get leavesOut() {
    return this.#options.slow === "refresh";
  }

  get ready() {
    return this.#state === "ready";
  }

  /** Is there no connection, and will there be none unless somebody asks for it? */
  get over() {
    return this.#state === "closed" || this.#state === "idle";
  }

  /** @returns {Promise<void>} when ready; rejected when the server refuses the credentials, or on `close()` */
  connect() {
    if (this.#connecting) return this.#connecting.promise;
    if (this.#state === "ready") return Promise.resolve();
    const connecting = (this.#connecting = deferred());
    if (this.#state === "reconnecting") {
      this.retryNow();
    } else {
      this.#attempt = 0;
      globalThis.addEventListener?.("pagehide", this.#left);
      globalThis.addEventListener?.("pageshow", this.#back);
      this.#open("connecting");
    }
    return connecting.promise;
  }

  /** @param {Credentials} credentials */
  async authenticate(credentials) {
    await this.request("auth", credentials);
    this.#credentials = credentials;
  }

  close() {
    if (this.over) return;
    this.#end("closed by the application", new LivethingsError("ClosedError", "The connection was closed."));
  }

  retryNow() {
    if (this.#state === "reconnecting" && !this.#socket) this.#open("reconnecting");
  }

  // Requests and what comes back ----------------------------------------------------------------------------------

  /**
   * Sends a request as soon as there is a connection.
   *
   * @param {string} method
   * @param {object} params
   * @param {{timeout?: number}} [options]
   * @returns {Promise<any>}
   */
  request(method, params, options) {
    const timeout = options?.timeout ?? this.#options.requestTimeout;
    return new Promise((resolve, reject) => {
      /** @type {Request} */
      const request = { method, params, onResult: resolve, onError: reject, timer: undefined };
      if (this.over) return reject(notConnected());
      if (this.#state !== "ready" && this.#waiting.size >= this.#options.maxWaiting) {
        const many = `${this.#waiting.size} requests wait for the connection already.`;
        return reject(new LivethingsError("QueueFullError", many));
      }
      request.timer = setTimeout(() => {
        this.#waiting.delete(request);
        for (const [id, sent] of this.#sent) if (sent === request) this.#sent.delete(id);
        reject(new LivethingsError("TimeoutError", `No answer to "${method}" within ${timeout} ms.`));
      }, timeout);
      if (this.#state === "ready") this.#send(request);
      else this.#waiting.add(request);
    });
  }

  /**
   * Sends a request on the connection that is open now. The callbacks are called while the reply is being read, before
   * any later event; the error has no code when the connection was lost first.
   *
   * @param {string} method
   * @param {object} params
   * @param {(result: any) => void} [onResult]
   * @param {(error: LivethingsError) => void} [onError]
   */
  ask(method, params, onResult = () => {}, onError = () => {}) {
    this.#send({ method, params, onResult, onError, timer: undefined });
  }

  /** @param {Request} request */
  #send(request) {
    const id = ++this.#lastId;
    let text;
    try {
      text = JSON.stringify({ jsonrpc: "2.0", id, method: request.method, params: request.params });
    } catch (error) { // a BigInt, or a value that holds itself
      clearTimeout(request.timer);
      return request.onError(new LivethingsError("TypeError", `JSON can't carry these values: ${String(error)}`));
    }
    this.#sent.set(id, request);
    this.#socket?.send(text);
  }

  /** @param {unknown} data */
  #receive(data) {
    this.#listen();
    /** @type {any} */
    let message;
    try {
      message = JSON.parse(/** @type {string} */ (data));
    } catch {
      return this.#lost("the server sent something that is not JSON");
    }
    if (message?.method !== undefined) return this.#notified(message.method, message.params ?? {});
    const request = this.#sent.get(message?.id);
    if (!request) return; // its time was over
    this.#sent.delete(message.id);
    clearTimeout(request.timer);
    for (const keeper of this.keepers) keeper.answered?.();
    if (message.error) request.onError(serverError(message.error));
    else request.onResult(message.result ?? null);
  }

  /**
   * @param {string} method
   * @param {any} params
   */
  #notified(method, params) {
    if (method === "node.status" && params.status === "SHUTTING_DOWN") this.#goodbye = "the server is shutting down";
    for (const keeper of this.keepers) keeper.notified(method, params);
    this.listeners.call(method, params);
    this.listeners.call("notification", method, params);
  }

  /** Starts to count the silence anew. */
  #listen() {
    if (!this.#options.heartbeat) return;
    this.#setTimer("heartbeat", this.#options.heartbeat, () => {
      if (this.#state !== "ready") return;
      this.ask("ping", {});
      this.#setTimer("heartbeat", this.#options.connectTimeout, () => this.#lost("the server stopped answering"));
    });
  }

  // From one state to the next --------------------------------------------------------------------------------------

  /**
   * @param {State} state
   * @param {string} [reason]
   * @param {LivethingsError | null} [error]
   * @param {number | null} [retryIn]
   */
  #enter(state, reason = "", error = null, retryIn = null) {
    this.#state = state;
    this.#status = { state, reason, error, retryIn };
    this.listeners.call("state", this.#status);
  }

  /** @param {"connecting" | "reconnecting"} state */
  #open(state) {
    this.#clearTimer("retry");
    const WebSocketClass = this.#options.WebSocket;
    /** @type {WebSocket} */
    let socket;
    try {
      socket = new WebSocketClass(this.#options.url);
    } catch (error) { // an address that is none: trying again won't help
      return this.#end("bad address", new LivethingsError("ConnectionError", String(error)));
    }
    this.#socket = socket;
    this.#goodbye = "";
    this.#enter(state, this.#status.reason, this.#status.error);
    const current = (/** @type {(event: any) => void} */ handle) => (/** @type {any} */ event) => {
      if (this.#socket === socket) handle(event); // a socket that was given up has nothing to say any more
    };
    socket.onopen = current(() => this.#authenticate());
    socket.onmessage = current((event) => this.#receive(event.data));
    socket.onclose = current((event) => this.#lost(closeReason(event)));
    this.#setTimer("connect", this.#options.connectTimeout, () => this.#lost("the server did not answer in time"));
  }

  #authenticate() {
    const ready = () => {
      this.#clearTimer("connect");
      this.#readySince = Date.now();
      this.#listen();
      this.#state = "ready";
      if (this.#options.slow) this.ask("options", { slow: this.#options.slow });
      for (const keeper of this.keepers) keeper.attach();
      for (const request of this.#waiting) this.#send(request);
      this.#waiting.clear();
      this.#connecting?.resolve();
      this.#connecting = null;
      this.#enter("ready");
    };
    const refused = (/** @type {LivethingsError} */ error) => {
      if (error.code === null) return; // not the server's word: the connection is gone already
      // Only wrong credentials are final; a server that is starting up, for one, may accept them later.
      if (FINAL.has(error.className)) this.#end(error.message, error);
      else this.#lost(error.message);
    };
    if (!this.#credentials) ready();
    else this.ask("auth", this.#credentials, ready, refused);
  }

  /**
   * The connection is of no use any more.
   *
   * @param {string} reason
   */
  #lost(reason) {
    const text = this.#goodbye || reason;
    this.#abandonSocket();
    const error = new LivethingsError("ConnectionError", `The connection was lost: ${text}.`);
    if (!this.#options.reconnect) return this.#end(text, error);
    this.#state = "reconnecting";
    for (const keeper of this.keepers) keeper.detach();
    if (this.#readySince && Date.now() - this.#readySince > STABLE_AFTER) this.#attempt = 0;
    this.#readySince = 0;
    const ceiling = Math.min(this.#options.retryDelayMax, this.#options.retryDelay * 2 ** this.#attempt++);
    const delay = Math.round(ceiling * (0.5 + this.#options.random() / 2)); // so that clients don't return as one
    this.#setTimer("retry", delay, () => this.#open("reconnecting"));
    this.#enter("reconnecting", text, error, delay);
    this.#failAll(this.#sent, new LivethingsError("ConnectionError",
      `The connection was lost (${text}) before the answer came; whether the request was carried out is unknown.`));
  }

  /**
   * @param {string} reason
   * @param {LivethingsError} error
   */
  #end(reason, error) {
    this.#abandonSocket();
    this.#clearTimer("retry");
    globalThis.removeEventListener?.("pagehide", this.#left);
    globalThis.removeEventListener?.("pageshow", this.#back);
    const connecting = this.#connecting;
    this.#connecting = null;
    this.#state = "closed";
    for (const keeper of this.keepers) keeper.end(error);
    this.#failAll(this.#sent, error);
    this.#failAll(this.#waiting, error);
    this.#enter("closed", reason, error);
    connecting?.promise.catch(() => {}); // connect() may have been called without waiting for it
    connecting?.reject(error);
  }

  #abandonSocket() {
    const socket = this.#socket;
    this.#socket = null;
    this.#clearTimer("connect");
    this.#clearTimer("heartbeat");
    try {
      socket?.close(1000);
    } catch {
      // it was not open yet, or is not any more
    }
  }

  /**
   * @param {Map<number, Request> | Set<Request>} requests
   * @param {LivethingsError} error without a code
   */
  #failAll(requests, error) {
    const all = [...requests.values()];
    requests.clear();
    for (const request of all) {
      clearTimeout(request.timer);
      request.onError(error);
    }
  }

  /**
   * @param {string} name
   * @param {number} milliseconds
   * @param {() => void} action
   */
  #setTimer(name, milliseconds, action) {
    clearTimeout(this.#timers[name]);
    this.#timers[name] = setTimeout(action, milliseconds);
  }

  /** @param {string} name */
  #clearTimer(name) {
    clearTimeout(this.#timers[name]);
  }
}

/** @returns {any} a promise with its `resolve` and `reject` beside it */
function deferred() {
  /** @type {any} */
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}

/** @returns {string} */
function pageAddress() {
  const { protocol, host } = globalThis.location ?? { protocol: "http:", host: "localhost:9270" };
  return `${protocol === "https:" ? "wss:" : "ws:"}//${host}/`;
}

/** @param {CloseEvent} event */
function closeReason(event) {
  if (event.reason) return event.reason;
  return event.code === 1006 ? "the server can't be reached" : `the server closed it (code ${event.code})`;
}
