// Stores: live queries, presence, and what their values promise. Run as livethings.test.mjs is.
import assert from "node:assert/strict";
import { test } from "node:test";

import { frozen, patched, shared } from "../../js-demo/livethings/sharing.js";
import { Source } from "../../js-demo/livethings/store.js";
import { SCOPE, again, ready } from "./wire.mjs";

const turn = () => new Promise((resolve) => setTimeout(resolve));

/** A live query that somebody follows, and the values and states that it has had. */
async function following(db, wire, code, value, change = 1, subscription = 7) {
  const live = db.live(SCOPE, code);
  const values = [];
  const states = [];
  live.status.subscribe(({ state }) => states.push(state));
  const stop = live.subscribe((now) => values.push(now));
  const request = await wire.request("subscribe");
  wire.reply(request, { subscription, change, value });
  return { live, values, states, stop, request };
}

test("a source tells its value at once, then each other one, until one leaves", () => {
  const calls = [];
  const source = new Source(1, () => calls.push("joined"), () => calls.push("left"));
  const { subscribe, getSnapshot } = source;
  const seen = [];
  const first = subscribe((value) => seen.push(["first", value]));
  const second = subscribe((value) => seen.push(["second", value]));
  source.set(2);
  source.set(2);
  first();
  first();
  source.set(3);
  second();
  assert.equal(getSnapshot(), 3);
  assert.deepEqual(seen, [["first", 1], ["second", 1], ["first", 2], ["second", 2], ["second", 3]]);
  assert.deepEqual(calls, ["joined", "joined", "left"]);
});

test("patches of RFC 6902 make new values that share what stays", () => {
  const old = frozen({ list: [{ "#": 1, n: 1 }, { "#": 2, n: 2 }], "a/b~c": 1, rest: { deep: [1] } });
  const now = patched(old, [
    { op: "replace", path: "/list/1/n", value: 5 },
    { op: "remove", path: "/list/0" },
    { op: "add", path: "/list/1", value: { "#": 3 } },
    { op: "add", path: "/list/-", value: { "#": 4 } },
    { op: "replace", path: "/a~1b~0c", value: null },
    { op: "add", path: "/__proto__", value: { polluted: true } },
  ]);
  assert.deepEqual(now.list, [{ "#": 2, n: 5 }, { "#": 3 }, { "#": 4 }]);
  assert.equal(now["a/b~c"], null);
  assert.equal(now.rest, old.rest);
  assert.deepEqual(Object.keys(now), ["list", "a/b~c", "rest", "__proto__"]);
  assert.equal({}.polluted, undefined);
  assert.equal(Object.getPrototypeOf(now), Object.prototype);
  assert.deepEqual(old.list.map(({ n }) => n), [1, 2]);
  assert.ok([now, now.list, now.list[0], now.list[1]].every(Object.isFrozen));
  assert.equal(patched(old, [{ op: "replace", path: "", value: 9 }]), 9);
  for (const [op, path] of [["remove", "/nope"], ["replace", "/list/2"], ["remove", "/list/-"], ["add", "/list/3"],
    ["replace", "/list/01/n"], ["add", "/rest/deep/0/x"], ["move", "/rest"], ["remove", "rest"], ["replace", "/list/length"],
    ["replace", "/toString/x"]]) {
    assert.throws(() => patched(old, [{ op, path, value: 1 }]), RangeError, `${op} ${path}`);
  }
});

test("a new value is made of the equal parts of the old one", () => {
  const old = frozen({ a: [{ "#": 1, x: [1] }, { "#": 2, x: [2] }], b: { c: 1 } });
  const copy = () => JSON.parse(JSON.stringify(old));
  assert.equal(shared(old, copy()), old);
  const moved = shared(old, { ...copy(), a: [...copy().a].reverse() });
  assert.equal(moved.a[0], old.a[1]);
  assert.equal(moved.b, old.b);
  const changed = shared(old, { ...copy(), b: { c: 1, d: 2 } });
  assert.equal(changed.a, old.a);
  assert.deepEqual(changed.b, { c: 1, d: 2 });
  assert.notEqual(shared(old, { b: { c: 1 } }), old);
  assert.deepEqual(shared(frozen([1, 2]), [1]), [1]);
  assert.deepEqual(shared(frozen([1]), { 0: 1 }), { 0: 1 });
  assert.ok(Object.isFrozen(changed) && Object.isFrozen(changed.b) && Object.isFrozen(moved.a));
});

test("a live query is a store: its snapshot changes only with the result", async (t) => {
  const [db, wire] = await ready(t);
  const { live, values, states, request } = await following(db, wire, ".list", [{ "#": 1, n: 1 }, { "#": 2, n: 2 }]);
  assert.deepEqual(request.params, { scope: SCOPE, code: ".list" });
  const { subscribe, getSnapshot } = live; // no adapter, no `this`
  const first = getSnapshot();
  assert.equal(getSnapshot(), first);
  wire.notify("live.update", { subscription: 7, change: 2, patch: [{ op: "replace", path: "/0/n", value: 5 }] });
  const second = getSnapshot();
  assert.notEqual(second, first);
  assert.equal(second[1], first[1]);
  wire.notify("live.update", { subscription: 8, change: 3, patch: [{ op: "remove", path: "/0" }] }); // not ours
  wire.notify("live.update", { subscription: 7, change: 3, value: [{ "#": 1, n: 5 }] });
  assert.equal(getSnapshot()[0], second[0]);
  assert.equal(live.change, 3);
  assert.deepEqual(values.map((value) => value?.length), [undefined, 2, 2, 1]);
  assert.deepEqual(states, ["idle", "loading", "live"]);
  let told = 0;
  subscribe(() => (told += 1))();
  assert.equal(told, 1);
  assert.throws(() => getSnapshot().push(1), TypeError);
});

test("who asks for the same shares it; the last to leave ends it", async (t) => {
  const [db, wire] = await ready(t);
  const { live, stop } = await following(db, wire, ".n", 1);
  assert.equal(db.live(SCOPE, ".n"), live);
  assert.notEqual(db.live(SCOPE, ".n", { x: 1 }), live);
  const other = live.subscribe(() => {});
  stop();
  other();
  const once = live.subscribe(() => {}); // mounted again at once, as frameworks do: the server hears nothing of it
  await turn();
  assert.equal(wire.requests.length, 0);
  once();
  assert.deepEqual((await wire.request("unsubscribe")).params, { subscriptions: [7] });
  assert.equal(live.status.getSnapshot().state, "idle");
  live.subscribe(() => {});
  assert.deepEqual((await wire.request("subscribe")).params, { scope: SCOPE, code: ".n", since: 1 });
});

test("what is answered after everybody has left is ended", async (t) => {
  const [db, wire] = await ready(t);
  const live = db.liveRun(SCOPE, "top", [3], { interval: 500 });
  live.subscribe(() => {})();
  const request = await wire.request("subscribe");
  assert.deepEqual(request.params, { scope: SCOPE, procedure: "top", args: [3], interval: 0.5 });
  await turn();
  wire.reply(request, { subscription: 9, change: 1, value: 1 });
  assert.deepEqual((await wire.request("unsubscribe")).params, { subscriptions: [9] });
  assert.equal(live.getSnapshot(), undefined);
});

test("after a reconnect a live query goes on from where it was", async (t) => {
  const [db, wire] = await ready(t);
  const { live, values, states } = await following(db, wire, ".n", { n: [1] }, 5);
  wire.drop();
  assert.equal(live.status.getSnapshot().state, "stale");
  const next = await again();
  const request = await next.request("subscribe");
  assert.equal(request.params.since, 5);
  next.reply(request, { subscription: 1, change: 8, resumed: true });
  next.notify("live.update", { subscription: 1, change: 9, patch: [{ op: "add", path: "/n/1", value: 2 }] });
  next.drop();
  const last = await again();
  const asked = await last.request("subscribe");
  assert.equal(asked.params.since, 9);
  last.reply(asked, { subscription: 1, change: 10, value: { n: [1, 2] } }); // the same: nobody is told
  assert.deepEqual(values, [undefined, { n: [1] }, { n: [1, 2] }]);
  assert.deepEqual(states, ["idle", "loading", "live", "stale", "live", "stale", "live"]);
});

test("a live query ends with the server's reason, refused or later", async (t) => {
  const [db, wire] = await ready(t);
  const shown = t.mock.method(console, "error", () => {});
  const refused = db.live(SCOPE, "nope(");
  refused.subscribe(() => {});
  wire.refuse(await wire.request("subscribe"), -52, "SyntaxError", "no");
  assert.equal(refused.status.getSnapshot().error.className, "SyntaxError");
  assert.equal(shown.mock.callCount(), 1); // nobody looks at its status
  const { live, states } = await following(db, wire, ".x", 1);
  wire.notify("live.end", { subscription: 7, error_code: -54, error_msg: "no x" });
  const { state, error } = live.status.getSnapshot();
  assert.deepEqual([state, error.className, error.code, error.message], ["ended", "LookupError", -54, "no x"]);
  assert.deepEqual([live.getSnapshot(), states.at(-1)], [1, "ended"]);
  assert.equal(shown.mock.callCount(), 1);
  live.subscribe(() => {}); // begins it anew
  assert.equal((await wire.request("subscribe")).params.code, ".x");
});

test("a patch of something else makes it begin anew", async (t) => {
  const [db, wire] = await ready(t);
  t.mock.method(console, "error", () => {});
  const { live } = await following(db, wire, ".list", [1]);
  wire.notify("live.update", { subscription: 7, change: 2, patch: [{ op: "remove", path: "/5" }] });
  assert.deepEqual((await wire.request("unsubscribe")).params.subscriptions, [7]);
  const request = await wire.request("subscribe");
  assert.equal("since" in request.params, false);
  wire.reply(request, { subscription: 8, change: 3, value: [1, 2] });
  assert.deepEqual(live.getSnapshot(), [1, 2]);
});

test("a live query is read with for await, which gives the newest", async (t) => {
  const [db, wire] = await ready(t);
  const live = db.live(SCOPE, ".n");
  const seen = [];
  const reading = (async () => {
    for await (const value of live) {
      seen.push(value);
      if (value === 4) break;
    }
  })();
  wire.reply(await wire.request("subscribe"), { subscription: 7, change: 1, value: 1 });
  await turn();
  for (const value of [2, 3]) wire.notify("live.update", { subscription: 7, change: value, value });
  await turn();
  wire.notify("live.update", { subscription: 7, change: 4, value: 4 });
  await reading;
  assert.deepEqual(seen, [1, 3, 4]);
  await wire.request("unsubscribe");
  const failing = (async () => {
    for await (const value of live) seen.push(value);
  })();
  wire.refuse(await wire.request("subscribe"), -55, "ForbiddenError", "no right");
  await assert.rejects(failing, { className: "ForbiddenError" });
});

test("a store may be followed before there is a connection, and ends with it", async (t) => {
  const [db, wire] = await ready(t);
  wire.drop();
  const early = db.live(SCOPE, ".n");
  early.subscribe(() => {});
  assert.equal(early.status.getSnapshot().state, "loading");
  const next = await again();
  next.reply(await next.request("subscribe"), { subscription: 1, change: 1, value: 1 });
  assert.equal(early.getSnapshot(), 1);
  db.close();
  const { state, error } = early.status.getSnapshot();
  assert.deepEqual([state, error.className], ["ended", "ClosedError"]);
  assert.throws(() => db.live(SCOPE, ".n", { n: 1n }), { className: "TypeError" });
});

test("presence: who is there, who comes, who goes", async (t) => {
  const [db, wire] = await ready(t);
  const presence = db.presence(SCOPE, { room: "hall" });
  const names = [];
  presence.subscribe((present) => names.push(present?.map(({ user, own }) => (own ? "me" : user))));
  const request = await wire.request("presence");
  assert.deepEqual(request.params, { scope: SCOPE, room: "hall" });
  wire.reply(request, { room: 12, connection: 3, present: [{ connection: 3, user: "ann" }, { connection: 1, user: "bob" }] });
  const before = presence.getSnapshot();
  wire.notify("presence.join", { scope: SCOPE, room: 12, connection: 5, user: "eve" });
  assert.equal(presence.getSnapshot()[0], before[0]);
  wire.notify("presence.join", { scope: SCOPE, room: 12, connection: 1, user: "bea" });
  wire.notify("presence.join", { scope: SCOPE, room: 13, connection: 9, user: "nobody" });
  wire.notify("presence.leave", { scope: SCOPE, room: 12, connection: 5, user: "eve" });
  assert.deepEqual(names, [undefined, ["bob", "me"], ["bob", "me", "eve"], ["bea", "me", "eve"], ["bea", "me"]]);
  const status = [];
  presence.status.subscribe(({ state }) => status.push(state));
  wire.notify("presence.end", { scope: SCOPE, room: 12 });
  assert.deepEqual(status, ["live", "ended"]);
});

test("presence of one place by two names is one interest for the server", async (t) => {
  const [db, wire] = await ready(t);
  const [byName, byId] = [db.presence(SCOPE, { room: "hall" }), db.presence(SCOPE, { room: 12 })];
  const stops = [byName, byId].map((presence) => presence.subscribe(() => {}));
  for (let count = 0; count < 2; count += 1) {
    wire.reply(await wire.request("presence"), { room: 12, connection: 3, present: [] });
  }
  stops[0]();
  await turn();
  assert.equal(wire.requests.length, 0);
  wire.notify("presence.join", { scope: SCOPE, room: 12, connection: 5, user: "eve" });
  assert.equal(byId.getSnapshot().length, 1);
  stops[1]();
  assert.deepEqual((await wire.request("unpresence")).params, { scope: SCOPE, room: 12 });
  const thing = db.presence(SCOPE, { thing: 4 });
  thing.subscribe(() => {});
  wire.reply(await wire.request("presence"), { thing: 4, connection: 3, present: [{ connection: 3, user: "ann" }] });
  assert.deepEqual(thing.getSnapshot(), [{ connection: 3, user: "ann", own: true }]);
});

test("a mirror is a store too", async (t) => {
  const [db, wire] = await ready(t);
  const opening = db.mirror(SCOPE, 1);
  wire.reply(await wire.request("watch"), null);
  wire.init(1, 1, { list: [1], set: { $: [] } });
  const { subscribe, getSnapshot } = await opening;
  const before = getSnapshot();
  let told = 0;
  subscribe(() => (told += 1));
  wire.update(1, 2, { set: { list: [2] } });
  assert.equal(getSnapshot().set, before.set);
  assert.equal(told, 2);
  assert.throws(() => getSnapshot().list.push(3), TypeError);
});
