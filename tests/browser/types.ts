// What livethings.d.ts must allow and refuse, and that it says what livethings.js is; compiled by test_types.py, never
// run.
import * as api from "../../js-demo/livethings.js";
import { Livethings, LivethingsError, connect, members } from "../../js-demo/livethings.js";
import type { LiveQuery, Mirror, Present, Store, Subscription } from "../../js-demo/livethings.js";
import { Livethings as RealLivethings, connect as realConnect } from "../../js-demo/livethings/database.js";
import { LivethingsError as RealError } from "../../js-demo/livethings/errors.js";
import { applyJobs, isThing, members as realMembers } from "../../js-demo/livethings/jobs.js";
import { LiveQuery as RealLive } from "../../js-demo/livethings/live.js";
import { Mirror as RealMirror } from "../../js-demo/livethings/mirror.js";
import { Presence as RealPresence } from "../../js-demo/livethings/presence.js";
import { Room as RealRoom } from "../../js-demo/livethings/rooms.js";
import { Tree as RealTree } from "../../js-demo/livethings/tree.js";
import { Watch as RealWatch } from "../../js-demo/livethings/watches.js";

// The declarations and the modules -------------------------------------------------------------------------------------

/** What an instance has for everybody: members that begin with _ or are for other modules are not declared. */
type Public<T> = Exclude<keyof T, `_${string}` | "attach" | "detach" | "open" | "handlers" | "arrived" | "touched" | "known" | "show">;
/** An error unless both types have the same members. */
type Same<A, B> = [Public<A>] extends [keyof B] ? ([keyof B] extends [Public<A>] ? true : never) : never;

const sameMembers: [
  Same<RealLivethings, Livethings>,
  Same<RealLive<any>, LiveQuery>,
  Same<RealPresence, api.Presence>,
  Same<RealMirror, Mirror>,
  Same<RealWatch, api.Watch>,
  Same<RealTree<any>, api.Tree>,
  Same<Omit<RealRoom, "subscribe" | "getSnapshot">, api.Room>,
  Same<RealError, LivethingsError>,
] = [true, true, true, true, true, true, true, true];

declare const realDb: RealLivethings;
declare const realLive: RealLive<number>;
declare const realPresence: RealPresence;
declare const realMirror: RealMirror;
declare const realWatch: RealWatch;
declare const realTree: RealTree<{ x: number }>;
declare const realRoom: RealRoom;
export const declared: [
  Livethings, LiveQuery<number>, api.Presence, Mirror, api.Watch, typeof LivethingsError, api.Tree<{ x: number }>, api.Room,
] = [realDb, realLive, realPresence, realMirror, realWatch, RealError, realTree, realRoom];
export const functions: Pick<typeof api, "connect" | "applyJobs" | "isThing" | "members"> = {
  connect: realConnect, applyJobs, isThing, members: realMembers,
};

// React and Svelte, as their own types have it ---------------------------------------------------------------------------

declare function useSyncExternalStore<S>(subscribe: (changed: () => void) => () => void, snapshot: () => S): S;

interface Readable<T> {
  subscribe(this: void, run: (value: T) => void, invalidate?: () => void): () => void;
}

declare const db: Livethings;

interface Song {
  readonly "#": number;
  readonly title: string;
}

const songs = db.live<Song[]>("//stuff", ".songs");
const inReact: Song[] | undefined = useSyncExternalStore(songs.subscribe, songs.getSnapshot);
const inSvelte: Readable<Song[] | undefined> = songs;
const state: "idle" | "loading" | "live" | "stale" | "ended" =
  useSyncExternalStore(songs.status.subscribe, songs.status.getSnapshot).state;
const followed: Subscription<readonly Present[]> = db.presence("//stuff", { room: "hall" });
const mirrored: Store<api.Thing> = realMirror;

// Use ------------------------------------------------------------------------------------------------------------------

export async function use(): Promise<void> {
  const opened: Livethings = await connect({ user: "admin", password: "pass", retryDelay: 100 });
  await connect({ token: "secret", url: new URL("ws://localhost:9270") });
  const count: number = await opened.query<number>("//stuff", ".songs.len()");
  await opened.run("//stuff", "add", { title: "Blue" });
  await opened.run("//stuff", "add", ["Blue"], { timeout: 1_000 });
  for await (const list of songs) console.log(list[0]?.title.length, count);
  for await (const present of followed) console.log(present.map(({ user, own }) => (own ? "you" : user)));
  const watch = await opened.watch("//stuff", 1, { update: (jobs, event) => console.log(jobs.length, event + 1) });
  watch.stop();
  const mirror = await opened.mirror<Song>("//stuff", 1);
  const stop: () => void = mirror.subscribe((song, change) => console.log(song.title, change?.kind));
  stop();
  console.log(members(mirror.value).length, useSyncExternalStore(mirror.subscribe, mirror.getSnapshot).title);
  opened.on("state", ({ retryIn, error }) => console.log(retryIn, error?.className));
  opened.on("room.emit", ({ event, args }) => console.log(event, args));
  const tree: { songs: Song[] } | undefined = opened.tree<{ songs: Song[] }>("//stuff", 1, 2).getSnapshot();
  const room = opened.room("//stuff", "hall", { history: true });
  room.onMissed(room.on("hello", (who) => console.log(who, tree?.songs.length)));
  await room.emit("hello", "you", 1);
  for await (const { event, args } of room) console.log(event, args.length);
  await opened.query("//stuff", ".x = 1", {}, { atomic: true, decidedAt: songs.change, things: [1] });
  opened.liveRun("//stuff", "top", [10], { interval: 500 }).close();
}

// @ts-expect-error a query needs a scope
db.query(".x");
// @ts-expect-error vars are an object
db.live("//stuff", ".x", 5);
// @ts-expect-error the id of a thing is a number
db.watch("//stuff", "1", {});
// @ts-expect-error a room or a thing
db.presence("//stuff", {});
// @ts-expect-error they are made by the database
new api.Watch();
// @ts-expect-error snapshots are frozen
(followed.getSnapshot() ?? []).push({ connection: 1, user: "eve", own: false });

export { sameMembers, inReact, inSvelte, state, mirrored };
