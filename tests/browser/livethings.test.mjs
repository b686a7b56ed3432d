// The logic of js-demo/livethings.js against a server that the test plays itself; run by test_module.py, or by
// `node --test tests/browser/`.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Livethings, LivethingsError, applyJobs, connect } from "../../js-demo/livethings.js";
import { QUICK, SCOPE, Wire, again, ready, watching } from "./wire.mjs";

async function mirroring(db, wire, id, properties = {}, more = {}) {
  const starting = db.mirror(SCOPE, id);
  wire.reply(await wire.request("watch"), null);
  wire.init(id, 1, properties, more);
  return starting;
}

test("authenticates by user and password, or by token", async (t) => {
  Wire.opened = [];
  const byUser = new Livethings(QUICK);
  byUser.connect();
  const wire = await Wire.next();
  wire.onopen({});
  assert.deepEqual((await wire.request("auth")).params, { user: "admin", password: "pass" });
  const byToken = new Livethings({ ...QUICK, user: undefined, token: "secret" });
  byToken.connect();
  const other = await Wire.next();
  other.onopen({});
  assert.deepEqual((await other.request("auth")).params, { token: "secret" });
  byUser.close();
  byToken.close();
});

test("refused credentials close for good, with the server's reason", async () => {
  Wire.opened = [];
  const db = new Livethings(QUICK);
  const connecting = db.connect();
  const wire = await Wire.next();
  wire.onopen({});
  wire.refuse(await wire.request("auth"), -56, "AuthError", "wrong password");
  await assert.rejects(connecting, { className: "AuthError", code: -56, message: "wrong password" });
  assert.equal(db.state, "closed");
  assert.equal(db.status.reason, "wrong password");
  assert.equal(Wire.opened.length, 1);
});

test("a server that is not ready yet is asked again", async (t) => {
  Wire.opened = [];
  const db = new Livethings(QUICK);
  const connecting = db.connect();
  const wire = await Wire.next();
  wire.onopen({});
  wire.refuse(await wire.request("auth"), -57, "NodeError", "starting");
  await again();
  assert.equal(await connecting, db);
  db.close();
});

test("answers reach their requests, whatever their order", async (t) => {
  const [db, wire] = await ready(t);
  const first = db.query(SCOPE, "x", { x: 1 });
  const second = db.run(SCOPE, "add", [1, 2]);
  const [asked, ran] = [await wire.request("query"), await wire.request("run")];
  assert.deepEqual(asked.params, { scope: SCOPE, code: "x", vars: { x: 1 } });
  assert.deepEqual(ran.params, { scope: SCOPE, procedure: "add", args: [1, 2] });
  wire.reply(ran, 3);
  wire.reply(asked, { "#": 7, name: "seven" });
  assert.deepEqual(await first, { "#": 7, name: "seven" });
  assert.equal(await second, 3);
});

test("errors carry class, code and message", async (t) => {
  const [db, wire] = await ready(t);
  const query = db.query(SCOPE, "nope");
  wire.refuse(await wire.request("query"), -54, "LookupError", "there is no nope");
  const error = await query.catch((reason) => reason);
  assert.ok(error instanceof LivethingsError && error instanceof Error);
  assert.deepEqual([error.className, error.code, error.message], ["LookupError", -54, "there is no nope"]);
  assert.equal(String(error), "LookupError: there is no nope");
});

test("requests made while connecting wait; those of a lost connection fail clearly", async (t) => {
  Wire.opened = [];
  const db = new Livethings(QUICK);
  await assert.rejects(db.query(SCOPE, "1"), { className: "ClosedError" });
  db.connect();
  const early = db.query(SCOPE, "1");
  const wire = await Wire.next();
  await wire.accept();
  const lost = db.query(SCOPE, "2");
  wire.reply(await wire.request("query"), 1);
  assert.equal(await early, 1);
  wire.drop();
  await assert.rejects(lost, { className: "ConnectionError", message: /unknown/ });
  assert.equal(db.state, "reconnecting");
  const patient = db.query(SCOPE, "3");
  const next = await again();
  next.reply(await next.request("query"), 3);
  assert.equal(await patient, 3);
  db.close();
});

test("what waits for a connection is bounded in number and time", async (t) => {
  const [db, wire] = await ready(t, { maxWaiting: 1, requestTimeout: 5, retryDelay: 1e6, retryDelayMax: 1e6 });
  const unanswered = db.ping();
  await wire.request("ping");
  await assert.rejects(unanswered, { className: "TimeoutError" });
  wire.drop();
  const waits = db.ping();
  await assert.rejects(db.ping(), { className: "QueueFullError" });
  await assert.rejects(waits, { className: "TimeoutError" });
});

test("values that JSON can't carry fail at once", async (t) => {
  const [db] = await ready(t);
  await assert.rejects(db.query(SCOPE, "x", { x: 1n }), { className: "TypeError" });
});

test("states are told with their reason, and delays grow with jitter up to a limit", async (t) => {
  const [db, wire] = await ready(t, { retryDelay: 100, retryDelayMax: 300, random: () => 1 });
  const states = [];
  db.on("state", (change) => states.push(change));
  wire.notify("node.status", { id: 0, status: "SHUTTING_DOWN" });
  wire.drop(1001);
  for (let attempt = 0; attempt < 3; attempt += 1) {
    db.retryNow();
    (await Wire.next()).drop();
  }
  db.retryNow();
  await again();
  assert.deepEqual(states.filter(({ retryIn }) => retryIn).map(({ retryIn }) => retryIn), [100, 200, 300, 300]);
  assert.equal(states[0].reason, "the server is shutting down");
  assert.equal(states[2].reason, "the server can't be reached");
  await new Promise(setImmediate);
  assert.deepEqual(states.at(-1), { state: "ready", reason: "", error: null, retryIn: null });
});

test("without reconnect a lost connection is the end", async (t) => {
  const [db, wire] = await ready(t, { reconnect: false });
  const lost = db.ping();
  wire.drop(1008, "too slow a reader");
  await assert.rejects(lost, { className: "ConnectionError", message: /too slow a reader/ });
  assert.equal(db.state, "closed");
});

test("silence is broken by a ping, and a dead connection given up", async (t) => {
  const [db, wire] = await ready(t, { heartbeat: 1, connectTimeout: 50 });
  await wire.request("ping");
  const next = await again();
  assert.notEqual(next, wire);
  assert.ok(wire.closed);
  wire.notify("warning", {}); // nothing that the old socket says counts any more
});

test("close() fails what waits and opens no new connection", async (t) => {
  const [db, wire] = await ready(t);
  const query = db.query(SCOPE, "1");
  const watch = db.watch(SCOPE, 1, {});
  db.close();
  await assert.rejects(query, { className: "ClosedError" });
  await assert.rejects(watch, { className: "ClosedError" });
  assert.deepEqual([db.state, Wire.opened.length, wire.closed], ["closed", 1, true]);
});

test("a watch gets the whole thing, then each change, until it is gone", async (t) => {
  const [db, wire] = await ready(t);
  const seen = [];
  const watch = await watching(db, wire, 4, {
    init: (init) => seen.push(["init", init.thing.x, init.event]),
    update: (jobs, event) => seen.push(["update", jobs, event]),
    delete: () => seen.push(["delete"]),
  }, 10, { x: 1 });
  assert.deepEqual([watch.id, watch.scope], [4, SCOPE]);
  wire.update(4, 11, { set: { x: 2 } });
  wire.update(4, 9, { set: { x: 0 } }); // older than what was seen
  wire.update(5, 12, { set: { x: 3 } }); // another thing
  wire.notify("watch.delete", { "#": 4 });
  wire.update(4, 13, { set: { x: 4 } });
  assert.deepEqual(seen, [["init", 1, 10], ["update", [{ set: { x: 2 } }], 11], ["delete"]]);
});

test("watches of one go are one request, and the warning finds the right one", async (t) => {
  const [db, wire] = await ready(t);
  const [one, two, three] = [1, 2, 3].map((id) => db.watch(SCOPE, id, {}));
  const request = await wire.request("watch");
  assert.deepEqual(request.params, { scope: SCOPE, ids: [1, 2, 3] });
  wire.reply(request, null); // the last id of a request is answered first
  wire.init(3, 1);
  wire.notify("warning", { warn_code: 1, warn_msg: "there is no thing 2 in stuff" });
  wire.init(1, 1);
  await assert.rejects(two, { className: "LookupError", message: "there is no thing 2 in stuff" });
  assert.equal((await one).id + (await three).id, 4);
  await assert.rejects(db.watch(SCOPE, "4", {}), { className: "TypeError" });
});

test("a watch that ends before its init was told is not waited for", async (t) => {
  const [db, wire] = await ready(t);
  const one = db.watch(SCOPE, 1, {});
  wire.reply(await wire.request("watch"), null);
  wire.notify("watch.stop", { "#": 1 }); // the init was left out, since we were too slow
  await assert.rejects(one, { className: "ClosedError" });
  const two = db.watch(SCOPE, 2, {});
  wire.reply(await wire.request("watch"), null);
  wire.notify("warning", { warn_code: 1, warn_msg: "there is no thing 2" });
  await assert.rejects(two, { className: "LookupError" });
});

test("a refused watch fails with the server's error", async (t) => {
  const [db, wire] = await ready(t);
  const watch = db.watch("//nope", 1, {});
  wire.refuse(await wire.request("watch"), -54, "LookupError", "there is no collection nope");
  await assert.rejects(watch, { className: "LookupError" });
});

test("a second watch of a thing gets its own init, and the last to stop ends the server's watch", async (t) => {
  const [db, wire] = await ready(t);
  const seen = [];
  const first = await watching(db, wire, 4, { update: () => seen.push("first") });
  const second = await watching(db, wire, 4, { update: () => seen.push("second") }, 2);
  wire.update(4, 3, { set: { x: 1 } });
  first.stop();
  wire.update(4, 4, { set: { x: 2 } });
  second.stop();
  const request = await wire.request("unwatch");
  assert.deepEqual(request.params, { scope: SCOPE, ids: [4] });
  wire.update(4, 5, { set: { x: 3 } });
  assert.deepEqual(seen, ["first", "second", "second"]);
});

test("who watches a thing already is not told again of what another asked for", async (t) => {
  const [db, wire] = await ready(t);
  const seen = [];
  await watching(db, wire, 4, { init: (init, thing) => seen.push(thing) }, 1, { list: [1], set: { $: [{ "#": 5 }, { "#": 6 }] } });
  const again = { init: (init, thing) => seen.push(thing) };
  await watching(db, wire, 4, again, 2, { set: { $: [{ "#": 6 }, { "#": 5 }] }, list: [1] });
  assert.equal(seen.length, 2);
  assert.equal(seen[0], seen[1]);
  wire.init(4, 3, { list: [2], set: { $: [{ "#": 6 }, { "#": 5 }] } }); // another state without an update: told to both
  assert.equal(seen.length, 4);
  assert.equal(seen[3].set, seen[0].set);
  wire.init(4, 4, { list: [2], set: { $: [{ "#": 6 }, { "#": 5 }] } }, { types: [], enums: [], procedures: [] });
  assert.equal(seen.length, 6); // definitions may be others
});

test("the stop of an earlier watch does not end the one that followed it", async (t) => {
  const [db, wire] = await ready(t);
  const seen = [];
  const first = db.watch(SCOPE, 4, {}).catch((error) => error);
  const requested = await wire.request("watch");
  db.unwatch(SCOPE, 4);
  assert.equal((await first).className, "ClosedError");
  const stopped = await wire.request("unwatch");
  const second = db.watch(SCOPE, 4, { stop: () => seen.push("stop"), update: () => seen.push("update") });
  const again = await wire.request("watch");
  wire.reply(requested, null);
  wire.init(4, 1);
  wire.reply(stopped, null);
  wire.notify("watch.stop", { "#": 4 });
  wire.reply(again, null);
  wire.init(4, 1);
  await second;
  wire.update(4, 2, { set: { x: 1 } });
  wire.notify("watch.stop", { "#": 4 }); // this one is meant: the right to watch was taken away
  wire.update(4, 3, { set: { x: 2 } });
  assert.deepEqual(seen, ["update", "stop"]);
});

test("after a reconnect without what was missed everything is watched and joined anew, and what went is told", async (t) => {
  const [db, wire] = await ready(t);
  const seen = [];
  await watching(db, wire, 4, { init: ({ thing }) => seen.push(["init", thing.x]) }, 1, { x: 1 });
  await watching(db, wire, 5, { delete: () => seen.push(["delete"]) });
  const joining = db.join(SCOPE, "hall", "nowhere");
  wire.reply(await wire.request("join"), [9, null]);
  assert.deepEqual(await joining, [9, null]);
  wire.drop();
  const next = await again();
  assert.deepEqual((await next.request("join")).params, { scope: SCOPE, rooms: ["hall"] });
  const request = await next.request("watch");
  assert.deepEqual(request.params, { scope: SCOPE, ids: [4, 5], since: 1 });
  next.reply(request, { change: 8, resumed: false });
  next.notify("warning", { warn_code: 1, warn_msg: "there is no thing 5" });
  next.init(4, 8, { x: 2 });
  assert.deepEqual(seen, [["init", 1], ["delete"], ["init", 2]]);
});

test("rooms: emit, leave, and notifications by their method", async (t) => {
  const [db, wire] = await ready(t);
  const seen = [];
  const off = db.on("room.emit", (params) => seen.push(params.args));
  const emitting = db.emit(SCOPE, "hall", "hello", ["you"], { peers: true });
  const request = await wire.request("emit");
  assert.deepEqual(request.params, { scope: SCOPE, room: "hall", event: "hello", args: ["you"], peers: true });
  wire.reply(request, null);
  await emitting;
  wire.notify("room.emit", { scope: "@collection:stuff", id: 9, event: "hello", args: ["me"] });
  off();
  wire.notify("room.emit", { scope: "@collection:stuff", id: 9, event: "hello", args: ["nobody"] });
  assert.deepEqual(seen, [["me"]]);
});

test("a mirror follows its thing", async (t) => {
  const [db, wire] = await ready(t);
  const mirror = await mirroring(db, wire, 1, { n: 1, home: { "#": 2 } }, { types: [], enums: [], procedures: [] });
  const values = [];
  const events = [];
  mirror.subscribe((value, change) => values.push([value.n, change?.kind]));
  mirror.on("event", (name, args) => events.push([name, args]));
  assert.deepEqual(mirror.definitions, { types: [], enums: [], procedures: [] });
  const before = mirror.value;
  wire.update(1, 2, { set: { n: 2 } }, { event: ["rang", 1, 2] });
  wire.update(1, 3, { event: ["rang"] });
  assert.equal(before.n, 1); // values are replaced, not changed
  assert.deepEqual(values, [[1, undefined], [2, "update"]]);
  assert.deepEqual(events, [["rang", [1, 2]], ["rang", []]]);
  const following = mirror.follow(mirror.value.home);
  wire.reply(await wire.request("watch"), null);
  wire.init(2, 3, { rooms: 4 });
  assert.equal((await following).value.rooms, 4);
  const ended = [];
  mirror.on("end", (reason) => ended.push(reason));
  wire.notify("watch.delete", { "#": 1 });
  assert.deepEqual([ended, mirror.ended], [["gone"], "gone"]);
});

test("mirrors of one thing are shared until the last is closed", async (t) => {
  const [db, wire] = await ready(t);
  const first = await mirroring(db, wire, 1);
  const second = await db.mirror(SCOPE, 1);
  assert.equal(first, second);
  first.close();
  assert.equal(wire.requests.length, 0);
  second.close();
  assert.deepEqual((await wire.request("unwatch")).params.ids, [1]);
});

test("a mirror can be had again after the connection has ended", async (t) => {
  const [db, wire] = await ready(t, { reconnect: false });
  const mirror = await mirroring(db, wire, 1, { n: 1 });
  wire.drop();
  const connecting = db.connect();
  const next = await Wire.next();
  await next.accept();
  await connecting;
  const other = await mirroring(db, next, 1, { n: 2 });
  assert.notEqual(other, mirror);
  assert.equal(other.value.n, 2);
});

test("a mirror that two asked for at once leaves no watch behind", async (t) => {
  const [db, wire] = await ready(t);
  const opening = db.mirror(SCOPE, 1);
  wire.reply(await wire.request("watch"), null);
  const other = db.mirror(SCOPE, 1);
  wire.init(1, 1);
  (await opening).close();
  (await other).close();
  assert.deepEqual((await wire.request("unwatch")).params.ids, [1]);
});

test("jobs are applied to a copy", () => {
  const thing = { "#": 1, l: [1, 2, 3], s: { $: [{ "#": 5 }] }, n: 1 };
  const apply = (...jobs) => {
    const { "#": id, ...rest } = applyJobs(thing, jobs);
    assert.equal(id, 1);
    return rest;
  };
  assert.deepEqual(apply({ set: { n: 2, m: { "#": 8, deep: { "#": 9 } } } }).m, { "#": 8 });
  assert.deepEqual(apply({ del: "n" }), { l: [1, 2, 3], s: { $: [{ "#": 5 }] } });
  assert.deepEqual(apply({ splice: { l: [3, 0, 4, { "#": 7, x: 1 }] } }).l, [1, 2, 3, 4, { "#": 7 }]);
  assert.deepEqual(apply({ splice: { l: [0, 2] } }, { splice: { l: [0, 1, 9] } }).l, [9]);
  assert.deepEqual(apply({ add: { s: [{ "#": 6, x: 1 }, { "#": 5 }] } }).s, { $: [{ "#": 6 }, { "#": 5 }] });
  assert.deepEqual(apply({ remove: { s: [5] } }).s, { $: [] });
  assert.deepEqual(apply({ set: { w: { "&": [0, { "#": 3, x: 1 }] } } }).w, { "&": [0, { "#": 3 }] });
  assert.deepEqual(apply({ to_type: 3 }, { new_type: {} }, { event: ["x"] }).n, 1);
  assert.deepEqual(thing, { "#": 1, l: [1, 2, 3], s: { $: [{ "#": 5 }] }, n: 1 });
});

test("any property name is only a name", () => {
  const next = applyJobs({ "#": 1 }, [JSON.parse('{"set": {"__proto__": {"#": 2}, "constructor": 3}}')]);
  assert.deepEqual(Object.keys(next), ["#", "__proto__", "constructor"]);
  assert.equal({}.constructor, Object);
});

test("a listener that throws hurts no other", async (t) => {
  const [db, wire] = await ready(t);
  const shown = t.mock.method(console, "error", () => {});
  const seen = [];
  db.on("warning", () => {
    throw new Error("mine");
  });
  db.on("warning", (params) => seen.push(params.warn_code));
  wire.notify("warning", { warn_code: 2, warn_msg: "log" });
  assert.deepEqual(seen, [2]);
  assert.equal(shown.mock.callCount(), 1);
});
