/**
 * The Livethings client for browsers, and for any runtime with a `WebSocket`: one import, no dependencies, no build.
 *
 *     import { connect } from "./livethings.js";
 *     const db = await connect({ user: "admin", password: "pass" });
 *     await db.query("//stuff", ".greeting = text", { text: "hello" });
 *     db.live("//stuff", ".greeting").subscribe((greeting) => console.log(greeting));
 *
 * It is this file and the folder `livethings/` beside it; livethings.d.ts has the types, docs/javascript.md the tour.
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

export { Livethings, connect } from "./livethings/database.js";
export { LivethingsError } from "./livethings/errors.js";
export { applyJobs, isThing, members } from "./livethings/jobs.js";
export { LiveQuery } from "./livethings/live.js";
export { Mirror } from "./livethings/mirror.js";
export { Presence } from "./livethings/presence.js";
export { Room } from "./livethings/rooms.js";
export { Tree } from "./livethings/tree.js";
export { Watch } from "./livethings/watches.js";
