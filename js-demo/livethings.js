/**
 * The Livethings client for browsers, and for any runtime with a `WebSocket`: one module, no dependencies, no build.
 *
 *     import { connect } from "./livethings.js";
 *     const db = await connect({ user: "admin", password: "pass" });
 *     await db.query("//stuff", ".greeting = text", { text: "hello" });
 *     const root = await db.mirror("//stuff", await db.query("//stuff", ".id()"));
 *     root.subscribe((thing) => console.log(thing.greeting));
 *
 * It speaks JSON-RPC 2.0 in text frames (docs/protocol.md). How values look in JSON:
 *
 * | value | in JSON |
 * |---|---|
 * | a thing | `{"#": id, …}`, or `{"#": id}` where it is only referred to |
 * | a set that is a property | `{"$": [thing, …]}` |
 * | an enum member that is a property | `{"%": [enum id, index]}` |
 * | bytes | base64 text |
 * | an integer beyond ±2^53 | decimal text |
 * | nan, inf, -inf | `"NaN"`, `"Infinity"`, `"-Infinity"` |
 */

/** @typedef {"idle" | "connecting" | "ready" | "reconnecting" | "closed"} State */

/**
 * @typedef {object} StateChange
 * @property {State} state
 * @property {string} reason why, as a sentence for people; empty when all is well
 * @property {LivethingsError | null} error what ended or broke the connection
 * @property {number | null} retryIn milliseconds until the next attempt, while reconnecting
 */

/** @typedef {{user: string, password: string} | {token: string}} Credentials */

/** @typedef {{[key: string]: any}} Thing a thing's properties under their names, and its id under `"#"` */

/** @typedef {{[kind: string]: any}} Job one mutation of a thing, such as `{"set": {"x": 1}}` */

/**
 * @typedef {object} WatchInit a watched thing, whole
 * @property {number} event the change id that it is true at
 * @property {Thing} thing
 * @property {string} collection the collection's name
 * @property {any[]} [enums] for the root of a collection only, as are the next two
 * @property {any[]} [types]
 * @property {any[]} [procedures]
 */

/**
 * @typedef {object} WatchHandlers
 * @property {(init: WatchInit) => void} [init] the whole thing: at the start, and again after each reconnect
 * @property {(jobs: Job[], event: number) => void} [update] what one change did to it, in order
 * @property {() => void} [delete] it is gone; the watch has ended
 * @property {(error: LivethingsError | null) => void} [stop] the server ended the watch; with the reason, if it gave one
 */

/**
 * @typedef {object} Options
 * @property {string | URL} [url] where the server listens, `ws:` or `wss:`. Default: the page's own host
 * @property {string} [user] together with `password`
 * @property {string} [password]
 * @property {string} [token] instead of user and password
 * @property {boolean} [reconnect] go on after a lost connection. Default: true
 * @property {number} [requestTimeout] milliseconds, waiting for a connection included. Default: 30 000
 * @property {number} [connectTimeout] milliseconds for opening and authenticating. Default: 10 000
 * @property {number} [retryDelay] milliseconds before the first new attempt; doubled for each further one. Default: 250
 * @property {number} [retryDelayMax] Default: 15 000
 * @property {number} [heartbeat] milliseconds of silence after which the server is asked for a sign of life; 0 for
 *     never. Default: 20 000
 * @property {number} [maxWaiting] how many requests may wait for a connection; more fail at once. Default: 1 000
 * @property {typeof WebSocket} [WebSocket] the class to use. Default: the runtime's own
 * @property {() => number} [random] for the jitter of the delays. Default: Math.random
 */

/**
 * What went wrong: an error of the server, with its class (`LookupError`, `ForbiddenError`, …) and code, or one of the
 * client's own, whose code is null: `ConnectionError` (the connection broke, or could not be made), `TimeoutError`,
 * `ClosedError` (after `close()`), `QueueFullError`.
 */
export class LivethingsError extends Error {
  /**
   * @param {string} className
   * @param {string} message
   * @param {number | null} [code]
   */
  constructor(className, message, code = null) {
    super(message);
    this.name = className;
    /** @type {string} */
    this.className = className;
    /** @type {number | null} */
    this.code = code;
  }
}

/** Errors of `auth` after which trying again with the same credentials is of no use. */
const FINAL = new Set(["AuthError", "BadDataError", "ForbiddenError"]);

/** Milliseconds that a connection must last before the next loss starts with the shortest delay again. */
const STABLE_AFTER = 5_000;

/** Listeners by name; a listener that throws is reported and hurts no other. */
class Listeners {
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

/**
 * Calls a function of the application; what it throws goes to the console, since the client must go on.
 *
 * @param {((...args: any[]) => void) | undefined} callback
 * @param {any[]} args
 */
function guarded(callback, ...args) {
  try {
    callback?.(...args);
  } catch (error) {
    console.error(error);
  }
}

/**
 * Connects and resolves when the server has accepted the credentials. See `Livethings.connect`.
 *
 * @param {Options} [options]
 * @returns {Promise<Livethings>}
 */
export function connect(options) {
  return new Livethings(options).connect();
}

/**
 * @typedef {object} Request one that has been sent, or waits to be
 * @property {string} method
 * @property {object} params
 * @property {(result: any) => void} onResult called while the reply is being read, before any later event
 * @property {(error: LivethingsError) => void} onError
 * @property {ReturnType<typeof setTimeout> | undefined} timer
 */

/** @typedef {{resolve: (value: any) => void, reject: (error: LivethingsError) => void}} Settle */

/**
 * @typedef {object} Subscription what the server knows as one watch; any number of `Watch`es share it
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

/** A connection to a Livethings server that heals itself. */
export class Livethings {
  /** @type {State} */
  #state = "idle";
  #change = /** @type {StateChange} */ ({ state: "idle", reason: "", error: null, retryIn: null });
  #listeners = new Listeners();
  /** @type {WebSocket | null} */
  #socket = null;
  #lastId = 0;
  /** @type {Map<number, Request>} */
  #sent = new Map();
  /** @type {Set<Request>} */
  #waiting = new Set();
  /** @type {Map<number, Subscription>} by the thing's id, which is unique on the whole server */
  #subscriptions = new Map();
  /** @type {Subscription[]} those whose init or warning the server still owes, in the order in which they come */
  #expected = [];
  /** @type {Map<string, number[]>} ids to unwatch, by scope */
  #unwanted = new Map();
  #flushPlanned = false;
  /** @type {Map<string, Set<string | number>>} joined rooms, by scope */
  #rooms = new Map();
  /** @type {Map<number, Mirror>} */
  #mirrors = new Map();
  #attempt = 0;
  #goodbye = "";
  #timers = /** @type {{[name: string]: ReturnType<typeof setTimeout> | undefined}} */ ({});
  /** @type {(Settle & {promise: Promise<any>}) | null} */
  #connecting = null;
  #readySince = 0;
  /** @type {Credentials | null} */
  #credentials;
  #options;

  /** @param {Options} [options] */
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
      WebSocket: rest.WebSocket ?? globalThis.WebSocket,
      random: rest.random ?? Math.random,
    };
  }

  /** @returns {State} */
  get state() {
    return this.#state;
  }

  /** @returns {StateChange} the present state with its reason */
  get status() {
    return this.#change;
  }

  /**
   * Listens to `"state"` (a `StateChange`), or to a notification by its method: `"room.emit"`, `"warning"`,
   * `"node.status"`, `"watch.update"`, … (its params), or to `"notification"`: every one (method, params).
   *
   * @param {string} name
   * @param {(...args: any[]) => void} listener
   * @returns {() => void} stops listening
   */
  on(name, listener) {
    return this.#listeners.add(name, listener);
  }

  /**
   * Connects and authenticates. Goes on trying while the server can't be reached, unless `reconnect` is off.
   *
   * @returns {Promise<this>} when ready; rejected when the server refuses the credentials, or on `close()`
   */
  connect() {
    if (this.#connecting) return this.#connecting.promise;
    if (this.#state === "ready") return Promise.resolve(this);
    const connecting = (this.#connecting = deferred());
    if (this.#state === "reconnecting") {
      this.retryNow();
    } else {
      this.#attempt = 0;
      this.#open("connecting");
    }
    return connecting.promise;
  }

  /**
   * Authenticates the open connection as another user, and uses these credentials from now on.
   *
   * @param {Credentials} credentials
   */
  async authenticate(credentials) {
    await this.#request("auth", credentials);
    this.#credentials = credentials;
  }

  /** Closes for good: what waits fails with ClosedError, watches end without an event. `connect()` opens it again. */
  close() {
    if (this.#state === "closed" || this.#state === "idle") return;
    this.#end("closed by the application", new LivethingsError("ClosedError", "The connection was closed."));
  }

  /** While reconnecting: tries now and does not wait for the delay to pass. */
  retryNow() {
    if (this.#state === "reconnecting" && !this.#socket) this.#open("reconnecting");
  }

  /**
   * Runs code in a scope, such as `"//stuff"`.
   *
   * @param {string} scope
   * @param {string} code
   * @param {{[name: string]: any}} [vars] variables of the code; anything that JSON can carry
   * @param {{timeout?: number}} [options] milliseconds
   * @returns {Promise<any>} the value of the last statement
   */
  query(scope, code, vars, options) {
    return this.#request("query", vars === undefined ? { scope, code } : { scope, code, vars }, options);
  }

  /**
   * Calls a procedure.
   *
   * @param {string} scope
   * @param {string} procedure
   * @param {any[] | {[name: string]: any}} [args] by position or by name
   * @param {{timeout?: number}} [options] milliseconds
   * @returns {Promise<any>}
   */
  run(scope, procedure, args = [], options) {
    return this.#request("run", { scope, procedure, args }, options);
  }

  /**
   * Asks the server for a sign of life.
   *
   * @param {{timeout?: number}} [options] milliseconds
   */
  ping(options) {
    return this.#request("ping", {}, options);
  }

  /**
   * Watches a thing: its handlers are called with the whole thing, then with each change. A watch is a standing wish:
   * it waits for the connection without a time limit, and is made anew after each reconnect.
   *
   * @param {string} scope
   * @param {number} id
   * @param {WatchHandlers} handlers
   * @returns {Promise<Watch>} when the first init was handled; rejected with LookupError when there is no such thing
   */
  watch(scope, id, handlers) {
    if (!Number.isSafeInteger(id)) {
      return Promise.reject(new LivethingsError("TypeError", `The id of a thing is an integer, not ${String(id)}.`));
    }
    if (this.#state === "closed" || this.#state === "idle") return Promise.reject(notConnected());
    const watch = new Watch(scope, id, handlers, (ended) => this.#drop(ended));
    const subscription = this.#subscriptions.get(id) ?? { scope, id, watches: new Map(), phase: "wanted", event: null };
    this.#subscriptions.set(id, subscription);
    subscription.phase = "wanted"; // asked for again if it was live: the newcomer needs an init
    this.#planFlush();
    return new Promise((resolve, reject) => void subscription.watches.set(watch, { resolve, reject }));
  }

  /**
   * Ends every watch of a thing that was made here. To end a single one: its `stop()`.
   *
   * @param {string} scope
   * @param {number} id
   */
  unwatch(scope, id) {
    for (const watch of [...(this.#subscriptions.get(id)?.watches.keys() ?? [])]) {
      if (watch.scope === scope) watch.stop();
    }
  }

  /**
   * Joins rooms, by id or name; again after each reconnect. What is emitted there: `on("room.emit", …)`.
   *
   * @param {string} scope
   * @param {(string | number)[]} rooms
   * @returns {Promise<(number | null)[]>} the rooms' ids; null where there is none
   */
  async join(scope, ...rooms) {
    const ids = await this.#request("join", { scope, rooms });
    const joined = this.#rooms.get(scope) ?? new Set();
    rooms.forEach((room, index) => ids[index] !== null && joined.add(room));
    this.#rooms.set(scope, joined);
    return ids;
  }

  /**
   * @param {string} scope
   * @param {(string | number)[]} rooms
   * @returns {Promise<(number | null)[]>}
   */
  leave(scope, ...rooms) {
    for (const room of rooms) this.#rooms.get(scope)?.delete(room);
    return this.#request("leave", { scope, rooms });
  }

  /**
   * Sends an event to everybody in a room.
   *
   * @param {string} scope
   * @param {string | number} room
   * @param {string} event
   * @param {any[]} [args]
   * @param {{peers?: boolean, timeout?: number}} [options] peers: to all but this connection
   */
  async emit(scope, room, event, args = [], { peers = false, ...options } = {}) {
    await this.#request("emit", { scope, room, event, args, peers }, options);
  }

  /**
   * Mirrors a thing: an object that stays as the thing is on the server. Mirrors of one thing are shared; each call
   * needs its `close()`.
   *
   * @param {string} scope
   * @param {number} id
   * @returns {Promise<Mirror>} when it has its first value; rejected with LookupError when there is no such thing
   */
  mirror(scope, id) {
    let mirror = this.#mirrors.get(id);
    if (!mirror) {
      mirror = new Mirror(this, scope, id, () => {
        if (this.#mirrors.get(id) === mirror) this.#mirrors.delete(id);
      });
      this.#mirrors.set(id, mirror);
    }
    return mirror.open();
  }

  // The connection ------------------------------------------------------------------------------------------------

  /**
   * @param {State} state
   * @param {string} [reason]
   * @param {LivethingsError | null} [error]
   * @param {number | null} [retryIn]
   */
  #enter(state, reason = "", error = null, retryIn = null) {
    this.#state = state;
    this.#change = { state, reason, error, retryIn };
    this.#listeners.call("state", this.#change);
  }

  /** @param {"connecting" | "reconnecting"} state */
  #open(state) {
    this.#clearTimer("retry");
    const WebSocketClass = this.#options.WebSocket;
    let socket;
    try {
      socket = new WebSocketClass(this.#options.url);
    } catch (error) { // an address that is none: trying again won't help
      return this.#end("bad address", new LivethingsError("ConnectionError", String(error)));
    }
    this.#socket = socket;
    this.#goodbye = "";
    this.#enter(state, this.#change.reason, this.#change.error);
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
      for (const [scope, rooms] of this.#rooms) {
        if (rooms.size) this.#send(this.#prepare("join", { scope, rooms: [...rooms] }));
      }
      for (const request of this.#waiting) this.#send(request);
      this.#waiting.clear();
      this.#planFlush();
      this.#connecting?.resolve(this);
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
    else this.#send(this.#prepare("auth", this.#credentials, ready, refused));
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
    for (const subscription of this.#subscriptions.values()) subscription.phase = "wanted";
    this.#expected = [];
    this.#unwanted.clear();
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
    const subscriptions = [...this.#subscriptions.values()];
    const connecting = this.#connecting;
    this.#connecting = null;
    this.#subscriptions.clear();
    this.#mirrors.clear();
    this.#expected = [];
    this.#unwanted.clear();
    this.#rooms.clear();
    this.#enter("closed", reason, error);
    for (const { watches } of subscriptions) for (const { reject } of watches.values()) reject(error);
    this.#failAll(this.#sent, error);
    this.#failAll(this.#waiting, error);
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
   * @param {LivethingsError} error
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

  // Requests and what comes back ----------------------------------------------------------------------------------

  /**
   * @param {string} method
   * @param {object} params
   * @param {(result: any) => void} [onResult]
   * @param {(error: LivethingsError) => void} [onError]
   * @returns {Request}
   */
  #prepare(method, params, onResult = () => {}, onError = () => {}) {
    return { method, params, onResult, onError, timer: undefined };
  }

  /**
   * @param {string} method
   * @param {object} params
   * @param {{timeout?: number}} [options]
   * @returns {Promise<any>}
   */
  #request(method, params, { timeout = this.#options.requestTimeout } = {}) {
    return new Promise((resolve, reject) => {
      const request = this.#prepare(method, params, resolve, reject);
      if (this.#state === "closed" || this.#state === "idle") return reject(notConnected());
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
    if (message.error) request.onError(serverError(message.error));
    else request.onResult(message.result ?? null);
  }

  /** Starts to count the silence anew. */
  #listen() {
    if (!this.#options.heartbeat) return;
    this.#setTimer("heartbeat", this.#options.heartbeat, () => {
      if (this.#state !== "ready") return;
      this.#send(this.#prepare("ping", {}));
      this.#setTimer("heartbeat", this.#options.connectTimeout, () => this.#lost("the server stopped answering"));
    });
  }

  /**
   * @param {string} method
   * @param {any} params
   */
  #notified(method, params) {
    if (method === "watch.init") this.#onInit(params);
    else if (method === "watch.update") this.#onUpdate(params);
    else if (method === "watch.delete") this.#gone(this.#subscriptions.get(params["#"]));
    else if (method === "watch.stop") this.#onStop(params["#"]);
    else if (method === "warning" && params.warn_code === 1) this.#onWarning(params.warn_msg);
    else if (method === "node.status" && params.status === "SHUTTING_DOWN") this.#goodbye = "the server is shutting down";
    this.#listeners.call(method, params);
    this.#listeners.call("notification", method, params);
  }

  // Watches ---------------------------------------------------------------------------------------------------------

  /** What is watched and unwatched in one go becomes one request a scope. */
  #planFlush() {
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    queueMicrotask(() => {
      this.#flushPlanned = false;
      if (this.#state !== "ready") return; // #authenticate comes back to it
      for (const [scope, ids] of this.#unwanted) this.#send(this.#prepare("unwatch", { scope, ids }));
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
    this.#send(this.#prepare("watch", { scope, ids: subscriptions.map(({ id }) => id) }, granted, refused));
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

  /** @param {string} message */
  #onWarning(message) {
    this.#gone(this.#expected.shift(), message);
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
    if (this.#state !== "ready" || (subscription.phase === "wanted" && subscription.event === null)) return;
    this.#unwanted.set(subscription.scope, [...(this.#unwanted.get(subscription.scope) ?? []), watch.id]);
    this.#planFlush();
  }
}

// Mirrors -------------------------------------------------------------------------------------------------------------

/** @typedef {{kind: "init", event: number} | {kind: "update", event: number, jobs: Job[]}} MirrorChange */

/**
 * A thing as it is on the server. `value` is replaced, never changed, when the thing changes, so that it can be
 * compared by `===` and kept. Things in it are references, `{"#": id}`; `follow` mirrors them in turn.
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
    this.#db = db;
    this.#closed = closed;
    /** @type {Thing} the thing, with its id under `"#"` */
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
      init: (init) => this.#init(init),
      update: (jobs, event) => this.#update(jobs, event),
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
   * Calls the listener now and after each change; `value` is then up to date.
   *
   * @param {(value: Thing, change: MirrorChange | null) => void} listener change is null in the first call
   * @returns {() => void} stops listening
   */
  subscribe(listener) {
    const stop = this.#listeners.add("change", listener);
    guarded(listener, this.value, null);
    return stop;
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
   * @param {Thing} reference `{"#": id}`
   * @returns {Promise<Mirror>}
   */
  follow(reference) {
    return this.#db.mirror(this.scope, reference["#"]);
  }

  /** @param {WatchInit} init */
  #init(init) {
    this.value = mirrored(init.thing);
    this.event = init.event;
    if (init.types) {
      this.definitions = { enums: init.enums ?? [], types: init.types, procedures: init.procedures ?? [] };
    }
    this.#listeners.call("change", this.value, { kind: "init", event: init.event });
  }

  /**
   * @param {Job[]} jobs
   * @param {number} event
   */
  #update(jobs, event) {
    this.value = applyJobs(this.value, jobs);
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

/**
 * A thing after some jobs; the given one stays as it is. Jobs that don't alter the thing's own properties (`event`,
 * `to_type`, those of definitions, unknown ones) are passed over.
 *
 * @param {Thing} thing
 * @param {Job[]} jobs
 * @returns {Thing}
 */
export function applyJobs(thing, jobs) {
  const next = Object.assign(Object.create(null), thing); // without a prototype: "__proto__" may be a property's name
  for (const job of jobs) {
    const [kind, body] = Object.entries(job)[0] ?? [];
    if (kind === "del") delete next[body];
    else if (kind === "set") for (const name of Object.keys(body)) next[name] = referring(body[name]);
    else if (kind === "splice") {
      for (const name of Object.keys(body)) {
        const [index, deleted, ...items] = body[name];
        next[name] = [...(next[name] ?? [])];
        next[name].splice(index, deleted, ...items.map(referring));
      }
    } else if (kind === "add" || kind === "remove") {
      for (const name of Object.keys(body)) {
        const changed = new Set(body[name].map((/** @type {any} */ item) => (kind === "add" ? item["#"] : item)));
        const kept = members(next[name]).filter((member) => !changed.has(member["#"]));
        next[name] = { $: kind === "add" ? [...kept, ...body[name].map(referring)] : kept };
      }
    }
  }
  return Object.freeze(next);
}

/**
 * @param {any} value
 * @returns {value is Thing} whether it is a thing or a reference to one
 */
export function isThing(value) {
  return typeof value === "object" && value !== null && "#" in value;
}

/**
 * @param {any} value a set as it is in a mirror or an event
 * @returns {Thing[]} its members; none for anything else
 */
export function members(value) {
  return Array.isArray(value?.$) ? value.$ : [];
}

/**
 * @param {Thing} thing
 * @returns {Thing}
 */
function mirrored(thing) {
  const next = Object.create(null);
  for (const name of Object.keys(thing)) next[name] = name === "#" ? thing[name] : referring(thing[name]);
  return Object.freeze(next);
}

/**
 * A value with every thing in it as a reference: what a job shows of a new thing is old with the thing's next change.
 *
 * @param {any} value
 * @returns {any}
 */
function referring(value) {
  if (Array.isArray(value)) return value.map(referring);
  if (isThing(value)) return { "#": value["#"] };
  if (Array.isArray(value?.$)) return { $: value.$.map(referring) };
  if (Array.isArray(value?.["&"])) return { "&": value["&"].map(referring) };
  return value;
}

// Small things --------------------------------------------------------------------------------------------------------

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

function notConnected() {
  return new LivethingsError("ClosedError", "There is no connection; connect() makes one.");
}

/**
 * @param {{code?: number, message?: string, data?: {class?: string}}} error as JSON-RPC has it
 */
function serverError({ code, message, data }) {
  return new LivethingsError(data?.class ?? "Error", message ?? "The server gave no reason.", code ?? null);
}

/** @param {CloseEvent} event */
function closeReason(event) {
  if (event.reason) return event.reason;
  return event.code === 1006 ? "the server can't be reached" : `the server closed it (code ${event.code})`;
}
