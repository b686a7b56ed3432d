/** The types of livethings.js. What each part is for: docs/javascript.md. */

// Connecting ----------------------------------------------------------------------------------------------------------

/** Connects, and resolves when the server has accepted the credentials. */
export function connect(options?: Options): Promise<Livethings>;

export type Credentials = { user: string; password: string } | { token: string };

export interface Options {
  /** Where the server listens, `ws:` or `wss:`. Default: the page's own host. */
  url?: string | URL;
  /** Together with `password`. */
  user?: string;
  password?: string;
  /** Instead of user and password. */
  token?: string;
  /** Go on after a lost connection. Default: true. */
  reconnect?: boolean;
  /** Milliseconds, waiting for a connection included. Default: 30 000. */
  requestTimeout?: number;
  /** Milliseconds for opening and authenticating. Default: 10 000. */
  connectTimeout?: number;
  /** Milliseconds before the first new attempt, doubled for each further one; up to half is taken off at random.
   * Default: 250. */
  retryDelay?: number;
  /** Default: 15 000. */
  retryDelayMax?: number;
  /** Milliseconds of silence after which the server is asked for a sign of life; 0 for never. Default: 20 000. */
  heartbeat?: number;
  /** How many requests may wait for a connection; more fail at once. Default: 1 000. */
  maxWaiting?: number;
  /** What the server does when this client takes events too slowly: close the connection, or leave events out and tell
   * how everything is later. Default: `"disconnect"`. */
  slow?: "disconnect" | "refresh";
  /** The class to use. Default: the runtime's own. */
  WebSocket?: new (url: string | URL) => WebSocket;
  /** For the jitter of the delays. Default: Math.random. */
  random?: () => number;
}

export type State = "idle" | "connecting" | "ready" | "reconnecting" | "closed";

export interface StateChange {
  state: State;
  /** Why, as a sentence for people; empty when all is well. */
  reason: string;
  /** What ended or broke the connection. */
  error: LivethingsError | null;
  /** Milliseconds until the next attempt, while reconnecting. */
  retryIn: number | null;
}

/**
 * An error of the server, with its class (`LookupError`, `ForbiddenError`, …) and code, or one of the client's own, whose
 * code is null: `ConnectionError` (the connection broke, or could not be made), `TimeoutError`, `ClosedError` (after
 * `close()`), `QueueFullError`, `TypeError` (a value that can't be sent).
 */
export class LivethingsError extends Error {
  constructor(className: string, message: string, code?: number | null);
  className: string;
  code: number | null;
}

export interface RequestOptions {
  /** Milliseconds. Default: `requestTimeout`. */
  timeout?: number;
}

export interface QueryOptions extends RequestOptions {
  /** On error nothing has changed. */
  atomic?: boolean;
  /** The change id that the request was decided on: it fails with ChangedError, and does nothing, when one of the `things`
   * has changed since. */
  decidedAt?: number;
  /** Ids of things. Without them: anything in the scope. */
  things?: readonly number[];
}

// Values --------------------------------------------------------------------------------------------------------------

/** A thing's properties under their names, and its id under `"#"`. */
export type Thing = { readonly [name: string]: any };

/** One mutation of a thing, such as `{"set": {"x": 1}}`. */
export type Job = { readonly [kind: string]: any };

/** Whether it is a thing or a reference to one. */
export function isThing(value: any): value is Thing;

/** The members of a set as it is in a mirror or an event; none for anything else. */
export function members(value: any): readonly Thing[];

/** A thing after some jobs; the given one stays as it is, and shares what they don't touch. */
export function applyJobs(thing: Thing, jobs: readonly Job[]): Thing;

// The database --------------------------------------------------------------------------------------------------------

/** A connection to a Livethings server that heals itself. */
export class Livethings {
  constructor(options?: Options);
  get state(): State;
  /** The present state with its reason. */
  get status(): StateChange;

  /** Connects and authenticates; goes on trying while the server can't be reached. Rejected when the server refuses the
   * credentials, or on `close()`. */
  connect(): Promise<this>;
  /** Authenticates the open connection as another user, and uses these credentials from now on. */
  authenticate(credentials: Credentials): Promise<void>;
  /** Closes for good: what waits fails with ClosedError, watches end without an event. `connect()` opens it again. */
  close(): void;
  /** While reconnecting: tries now and does not wait for the delay to pass. */
  retryNow(): void;

  /** Listens to changes of the state. Returns a function that stops listening, as do the others. */
  on(name: "state", listener: (change: StateChange) => void): () => void;
  /** Listens to every event: its method and params. */
  on(name: "notification", listener: (method: string, params: any) => void): () => void;
  /** Listens to an event by its method (docs/protocol.md): `"room.emit"`, `"warning"`, `"node.status"`, … */
  on(name: string, listener: (params: any) => void): () => void;

  /** Runs code in a scope, such as `"//stuff"`, and gives the value of its last statement. */
  query<T = any>(scope: string, code: string, vars?: { [name: string]: any }, options?: QueryOptions): Promise<T>;
  /** Calls a procedure, with arguments by position or by name. */
  run<T = any>(
    scope: string,
    procedure: string,
    args?: readonly any[] | { [name: string]: any },
    options?: QueryOptions,
  ): Promise<T>;
  /** Asks the server for a sign of life. */
  ping(options?: RequestOptions): Promise<void>;

  /** Watches a thing. Resolves when the first init was handled; rejected with LookupError when there is none. */
  watch(scope: string, id: number, handlers: WatchHandlers): Promise<Watch>;
  /** Ends every watch of a thing that was made here; a single one ends by its `stop()`. */
  unwatch(scope: string, id: number): void;
  /** Mirrors a thing. Mirrors of one thing are shared; each call needs its `close()`. Rejected with LookupError when
   * there is no such thing. */
  mirror<T extends Thing = Thing>(scope: string, id: number): Promise<Mirror<T>>;

  /** A deep watch: a thing with what it contains, as a store. `deep` is how far: 1, the things in its properties too; 2,
   * also those in theirs; and so on up to 127. Default: 1. */
  tree<T = any>(scope: string, id: number, deep?: number): Tree<T>;
  /** The result of code without side effects, as a store. The server keeps it up to date while somebody is subscribed.
   * Calls that ask for the same give the same object. */
  live<T = any>(scope: string, code: string, vars?: { [name: string]: any }, options?: LiveOptions): LiveQuery<T>;
  /** The same of a procedure, with arguments by position or by name. */
  liveRun<T = any>(
    scope: string,
    procedure: string,
    args?: any[] | { [name: string]: any },
    options?: LiveOptions,
  ): LiveQuery<T>;
  /** Who is in a room, or watches a thing, as a store. */
  presence(scope: string, place: { room: string | number } | { thing: number }): Presence;

  /** A room, by id or name, which is joined while somebody listens there. With `history`, what was emitted while there was
   * no connection comes afterwards. */
  room(scope: string, room: string | number, options?: { history?: boolean }): Room;
  /** Joins rooms, by id or name; again after each reconnect. Gives their ids, null where there is none. */
  join(scope: string, ...rooms: (string | number)[]): Promise<(number | null)[]>;
  leave(scope: string, ...rooms: (string | number)[]): Promise<(number | null)[]>;
  /** Sends an event to everybody in a room; with `peers`, to all but this connection. */
  emit(
    scope: string,
    room: string | number,
    event: string,
    args?: readonly any[],
    options?: RequestOptions & { peers?: boolean },
  ): Promise<void>;
}

// Stores --------------------------------------------------------------------------------------------------------------

/**
 * A value that others follow. It has what React's `useSyncExternalStore(store.subscribe, store.getSnapshot)` and
 * Svelte's `$store` ask for. Values are frozen, and replaced when they change; what stays the same in them stays the same
 * object.
 */
export interface Store<T> {
  /** Calls the listener at once and with each new value. Returns a function that ends that. Needs no `this`. */
  readonly subscribe: (listener: (value: T) => void) => () => void;
  /** The same object as long as nothing has changed. Needs no `this`. */
  readonly getSnapshot: () => T;
}

export interface SubscriptionStatus {
  /**
   * - `idle`: nobody is subscribed
   * - `loading`: there is no value yet
   * - `live`: the value is up to date
   * - `stale`: there is no connection; the value is the last one known
   * - `ended`: by an error, or by `close()`
   */
  readonly state: "idle" | "loading" | "live" | "stale" | "ended";
  /** What ended it. */
  readonly error: LivethingsError | null;
}

/** A value that the server keeps up to date while somebody is subscribed; `undefined` until the first has come. */
export interface Subscription<T> extends Store<T | undefined>, AsyncIterable<T> {
  readonly status: Store<SubscriptionStatus>;
  /** Ends it for all who are subscribed here. Who subscribes later begins it anew. */
  close(): void;
  /** Each value from now on; the newest one when several came since the last was taken. Throws what ended it. */
  [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined>;
}

export interface LiveOptions {
  /** The fewest milliseconds between two updates. */
  interval?: number;
}

/** A live query; `Livethings.live` makes them. */
export class LiveQuery<T = any> implements Subscription<T> {
  private constructor();
  /** The change id that the value is true at; 0 before the first. */
  readonly change: number;
  readonly status: Store<SubscriptionStatus>;
  readonly subscribe: (listener: (value: T | undefined) => void) => () => void;
  readonly getSnapshot: () => T | undefined;
  close(): void;
  [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined>;
}

/** A deep watch. Things within its depth are shown in full, others as references, `{"#": id}`. */
export class Tree<T = any> implements Subscription<T> {
  private constructor();
  readonly scope: string;
  readonly id: number;
  readonly deep: number;
  readonly status: Store<SubscriptionStatus>;
  readonly subscribe: (listener: (value: T | undefined) => void) => () => void;
  readonly getSnapshot: () => T | undefined;
  close(): void;
  [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined>;
}

/** A room; `Livethings.room` makes them. */
export class Room implements AsyncIterable<{ event: string; args: any[] }> {
  private constructor();
  readonly scope: string;
  readonly room: string | number;
  readonly status: Store<SubscriptionStatus>;
  /** Listens to an event that is emitted there. Returns a function that ends that. */
  on(event: string, listener: (...args: any[]) => void): () => void;
  /** Listens for events being lost: there was no connection for too long, or the room has no history, or this client was too
   * slow (`slow: "refresh"`). */
  onMissed(listener: () => void): () => void;
  /** Sends an event to everybody in the room. */
  emit(event: string, ...args: any[]): Promise<void>;
  close(): void;
  /** All events, in order. Throws what ended it, or QueueFullError when 10 000 wait. */
  [Symbol.asyncIterator](): AsyncGenerator<{ event: string; args: any[] }, void, undefined>;
}

export interface Present {
  /** The connection's number, as long as it lasts. */
  readonly connection: number;
  /** The user's name. */
  readonly user: string;
  /** Is it this connection? */
  readonly own: boolean;
}

/** Who is in a room or watches a thing, in the order in which they connected; `Livethings.presence` makes them. */
export class Presence implements Subscription<readonly Present[]> {
  private constructor();
  readonly status: Store<SubscriptionStatus>;
  readonly subscribe: (listener: (value: readonly Present[] | undefined) => void) => () => void;
  readonly getSnapshot: () => readonly Present[] | undefined;
  close(): void;
  [Symbol.asyncIterator](): AsyncGenerator<readonly Present[], void, undefined>;
}

// Watches -------------------------------------------------------------------------------------------------------------

/** A watched thing, whole. */
export interface WatchInit {
  /** The change id that it is true at. */
  event: number;
  thing: Thing;
  /** The collection's name. */
  collection: string;
  /** For the root of a collection only, as are the next two. */
  enums?: any[];
  types?: any[];
  procedures?: any[];
}

export interface WatchHandlers {
  /** The whole thing: at the start, and again after a reconnect when the server does not know any more what was missed.
   * `thing` is the same, frozen, with references for the things in it. */
  init?(init: WatchInit, thing: Thing): void;
  /** What one change did to it, in order, and the thing after that. */
  update?(jobs: Job[], event: number, thing: Thing): void;
  /** It is gone; the watch has ended. */
  delete?(): void;
  /** The server ended the watch; with the reason, if it gave one. */
  stop?(error: LivethingsError | null): void;
}

/** One caller's watch of one thing. */
export class Watch {
  private constructor();
  readonly scope: string;
  readonly id: number;
  /** Ends this watch; its handlers are not called any more. */
  stop(): void;
}

export type MirrorChange = { kind: "init"; event: number } | { kind: "update"; event: number; jobs: Job[] };

/** A thing as it is on the server. Things in it are references, `{"#": id}`; `follow` mirrors them in turn. */
export class Mirror<T extends Thing = Thing> implements Store<T> {
  private constructor();
  readonly scope: string;
  readonly id: number;
  /** The thing, frozen; replaced when it changes. */
  readonly value: T;
  /** The change id that `value` is true at. */
  readonly event: number;
  /** Of the collection, when this is its root; as they were at the last init. */
  readonly definitions: { enums: any[]; types: any[]; procedures: any[] } | null;
  /** Why it does not change any more. */
  readonly ended: "gone" | "stopped" | null;
  /** Calls the listener at once (with null) and after each change. Returns a function that ends that. */
  readonly subscribe: (listener: (value: T, change: MirrorChange | null) => void) => () => void;
  readonly getSnapshot: () => T;
  /** Listens to what `emit` on the thing sends. */
  on(name: "event", listener: (name: string, args: any[]) => void): () => void;
  /** Listens to the end: it does not change any more. */
  on(name: "end", listener: (reason: "gone" | "stopped", error: LivethingsError | null) => void): () => void;
  /** Mirrors a thing that this one refers to. */
  follow<R extends Thing = Thing>(reference: Thing): Promise<Mirror<R>>;
  /** One user less; with the last one the thing is not watched any more. */
  close(): void;
}
