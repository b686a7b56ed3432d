// Going on without a gap, deep watches and rooms with history. Run as livethings.test.mjs is.
import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../../js-demo/livethings.js";
import { QUICK, SCOPE, Wire, again, ready, watching } from "./wire.mjs";

const turn = () => new Promise((resolve) => setTimeout(resolve));

/** Answers a deep watch with what is in reach, and the ping behind it. */
async function reach(wire, change, ...things) {
  const request = await wire.request("watch");
  wire.reply(request, { change });
  const ping = await wire.request("ping");
  for (const thing of things) wire.notify("watch.init", { event: change, thing, collection: "stuff" });
  wire.reply(ping, "pong");
  return request;
}

/** Something comes behind a change: so it has been told whole. */
function told(wire) {
  wire.notify("warning", { warn_code: 2, warn_msg: "" });
}

function following(tree) {
  const values = [];
  tree.subscribe((value) => values.push(value));
  return values;
}

test("a watch goes on after a reconnect with exactly what it missed", async (t) => {
  const [db, wire] = await ready(t);
  const seen = [];
  const told = (id) => ({
    init: (init) => seen.push([id, "init", init.event]),
    update: (jobs, event, thing) => seen.push([id, event, thing.n, jobs.length]),
    delete: () => seen.push([id, "delete"]),
  });
  await watching(db, wire, 4, told(4), 10, { n: 0 });
  await watching(db, wire, 5, told(5), 10, { n: 0 });
  await watching(db, wire, 6, told(6), 10, { n: 0 });
  wire.update(4, 11, { set: { n: 1 } });
  wire.update(4, 12, { set: { n: 2 } }); // the first of two events of one change
  seen.length = 0;
  wire.drop();
  const next = await again();
  const request = await next.request("watch");
  assert.deepEqual(request.params, { scope: SCOPE, ids: [4, 5, 6], since: 11 });
  next.reply(request, { change: 15, resumed: true });
  next.update(4, 12, { set: { n: 2 } }, { set: { n: 3 } }); // told whole now
  next.update(5, 12, { set: { n: 12 } });
  next.notify("watch.delete", { "#": 6 });
  next.update(4, 15, { set: { n: 15 } });
  next.reply(await next.request("ping"), "pong");
  next.update(5, 16, { set: { n: 16 } });
  assert.deepEqual(seen, [[4, 12, 3, 1], [5, 12, 12, 1], [6, "delete"], [4, 15, 15, 1], [5, 16, 16, 1]]);
});

test("an init is not followed by what it shows already", async (t) => {
  const [db, wire] = await ready(t);
  const seen = [];
  await watching(db, wire, 4, { update: (jobs, event) => seen.push(event) }, 10, { n: 0 });
  wire.drop();
  const next = await again();
  next.reply(await next.request("watch"), { change: 11, resumed: true });
  next.update(4, 10, { set: { n: 9 } });
  next.update(4, 11, { set: { n: 11 } });
  assert.deepEqual(seen, [11]);
});

test("what was still catching up when the connection was lost again begins afresh", async (t) => {
  const [db, wire] = await ready(t);
  const seen = [];
  await watching(db, wire, 4, { init: ({ event }) => seen.push(event) }, 10);
  wire.drop();
  const second = await again();
  second.reply(await second.request("watch"), { change: 20, resumed: true });
  second.update(4, 15, { set: { n: 15 } });
  second.drop(); // what follows up to 20 may not have come
  const third = await again();
  const request = await third.request("watch");
  assert.equal("since" in request.params, false);
  third.reply(request, null);
  third.init(4, 22);
  assert.deepEqual(seen, [10, 22]);
});

test("a second watch of a thing gets an init even where the first goes on", async (t) => {
  const [db, wire] = await ready(t);
  await watching(db, wire, 4);
  wire.drop();
  const second = db.watch(SCOPE, 4, {});
  const next = await again();
  const request = await next.request("watch");
  assert.equal("since" in request.params, false);
  next.reply(request, null);
  next.init(4, 3);
  assert.equal((await second).id, 4);
});

test("a tree shows a thing with what it contains, to a depth", async (t) => {
  const [db, wire] = await ready(t);
  const tree = db.tree(SCOPE, 1, 2);
  const values = following(tree);
  const request = await reach(wire, 5,
    { "#": 1, name: "root", list: [{ "#": 2 }, { "#": 3 }, 7], tags: ["a"] },
    { "#": 2, name: "two", child: { "#": 4 } }, { "#": 3, all: { $: [{ "#": 4 }] } },
    { "#": 4, name: "four", beyond: { "#": 9 } });
  assert.deepEqual(request.params, { scope: SCOPE, ids: [1], deep: 2 });
  const first = tree.getSnapshot();
  assert.equal(JSON.stringify(first), JSON.stringify({
    "#": 1, name: "root",
    list: [
      { "#": 2, name: "two", child: { "#": 4, name: "four", beyond: { "#": 9 } } },
      { "#": 3, all: { $: [{ "#": 4, name: "four", beyond: { "#": 9 } }] } }, 7,
    ], tags: ["a"],
  }));
  wire.update(2, 6, { set: { name: "deux" } });
  told(wire);
  const second = tree.getSnapshot();
  assert.deepEqual([second.list[0].name, first.list[0].name], ["deux", "two"]);
  assert.ok(second.list[1] === first.list[1] && second.list[0].child === first.list[0].child && second.tags === first.tags);
  assert.equal(values.length, 3);
  assert.throws(() => second.list.push(1), TypeError);
  wire.update(1, 7, { event: ["rang"] }); // nothing of it shows
  told(wire);
  assert.equal(tree.getSnapshot(), second);
});

test("what comes into reach is shown when it is known, and what leaves is let go", async (t) => {
  const [db, wire] = await ready(t);
  const tree = db.tree(SCOPE, 1);
  const values = following(tree);
  await reach(wire, 5, { "#": 1, list: [{ "#": 2 }] }, { "#": 2, n: 2 });
  wire.update(1, 6, { splice: { list: [1, 0, { "#": 3, n: 3 }] } });
  assert.equal(values.length, 2); // 3 itself is to come
  told(wire); // even when something else comes between
  assert.equal(values.length, 2);
  wire.init(3, 6, { n: 3 });
  told(wire);
  assert.deepEqual(tree.getSnapshot().list.map(({ n }) => n), [2, 3]);
  wire.update(3, 7, { set: { n: 33 } });
  wire.update(1, 8, { splice: { list: [0, 1] } });
  wire.notify("watch.stop", { "#": 2, event: 8 });
  wire.update(2, 9, { set: { n: 22 } }); // not ours any more
  told(wire);
  assert.deepEqual(values.slice(1).map(({ list }) => list.map(({ n }) => n)), [[2], [2, 3], [2, 33], [33]]);
  wire.notify("watch.delete", { "#": 1 });
  const { state, error } = tree.status.getSnapshot();
  assert.deepEqual([state, error?.className], ["ended", "LookupError"]);
});

test("a tree shows a change whole: what moves is never nowhere", async (t) => {
  const [db, wire] = await ready(t);
  const tree = db.tree(SCOPE, 1, 2);
  const values = following(tree);
  await reach(wire, 5, { "#": 1, left: { "#": 2 }, right: { "#": 3 } }, { "#": 2, list: [{ "#": 4 }] }, { "#": 3, list: [] }, { "#": 4 });
  const query = db.query(SCOPE, "move");
  wire.update(2, 6, { splice: { list: [0, 1] } });
  wire.update(3, 6, { splice: { list: [0, 0, { "#": 4 }] } });
  wire.reply(await wire.request("query"), null);
  assert.deepEqual(values.slice(1).map(({ left, right }) => [left.list.length, right.list.length]), [[1, 0], [0, 1]]);
  await query;
});

test("a tree with cycles ends at its depth", async (t) => {
  const [db, wire] = await ready(t);
  const tree = db.tree(SCOPE, 1, 3);
  following(tree);
  await reach(wire, 5, { "#": 1, n: 1, next: { "#": 2 } }, { "#": 2, n: 2, next: { "#": 1 } });
  wire.update(1, 6, { set: { n: 9 } });
  told(wire);
  assert.equal(JSON.stringify(tree.getSnapshot()), '{"#":1,"n":9,"next":{"#":2,"n":2,"next":{"#":1,"n":9,"next":{"#":2,"n":2,"next":{"#":1}}}}}');
});

test("a tree that nobody follows is not watched any more; a watch of the same thing stays", async (t) => {
  const [db, wire] = await ready(t);
  const seen = [];
  const watch = await watching(db, wire, 1, { update: (jobs, event) => seen.push(event) });
  const tree = db.tree(SCOPE, 1);
  let stop = tree.subscribe(() => {});
  await reach(wire, 5, { "#": 1, child: { "#": 2 } }, { "#": 2 });
  stop();
  await turn();
  const request = await reach(wire, 6, { "#": 1, child: { "#": 2 } });
  assert.deepEqual(request.params, { scope: SCOPE, ids: [1], deep: 0 });
  wire.notify("watch.stop", { "#": 2 });
  wire.update(1, 7, { set: { x: 1 } });
  assert.deepEqual(seen, [7]);
  stop = tree.subscribe(() => {});
  await reach(wire, 8, { "#": 1, child: { "#": 2 } }, { "#": 2 });
  watch.stop();
  await turn();
  assert.equal(wire.requests.length, 0);
  stop();
  assert.deepEqual((await wire.request("unwatch")).params, { scope: SCOPE, ids: [1] });
});

test("a watched thing that comes into reach is shown, and stays in reach when its watch stops", async (t) => {
  const [db, wire] = await ready(t);
  const watch = await watching(db, wire, 2, {}, 1, { n: 2 });
  const tree = db.tree(SCOPE, 1);
  following(tree);
  await reach(wire, 5, { "#": 1, list: [] });
  wire.update(1, 6, { splice: { list: [0, 0, { "#": 2 }] } }); // without an init, since 2 is watched
  told(wire);
  assert.equal(tree.getSnapshot().list[0].n, 2);
  watch.stop();
  await wire.request("unwatch");
  wire.update(2, 7, { set: { n: 7 } });
  // Nothing comes behind it, and it is shown all the same.
  await new Promise((resolve) => tree.subscribe(({ list }) => list[0].n === 7 && resolve()));
});

test("a tree goes on after a reconnect: with what it missed, or afresh", async (t) => {
  const [db, wire] = await ready(t);
  const tree = db.tree(SCOPE, 1);
  const values = following(tree);
  await reach(wire, 5, { "#": 1, list: [{ "#": 2 }, { "#": 4 }] }, { "#": 2, n: 2 }, { "#": 4, n: 4 });
  wire.drop();
  const next = await again();
  const request = await next.request("watch");
  assert.deepEqual(request.params, { scope: SCOPE, ids: [1], deep: 1, since: 5, known: [1, 2, 4] });
  next.reply(request, { change: 9, resumed: true });
  next.update(2, 8, { set: { n: 8 } });
  next.update(1, 9, { splice: { list: [1, 1, { "#": 3 }] } });
  next.init(3, 9, { n: 3 });
  next.notify("watch.stop", { "#": 4, event: 9 });
  assert.equal(values.length, 2); // all that was missed shows at once
  next.reply(await next.request("ping"), "pong");
  assert.deepEqual(values[2].list.map(({ n }) => n), [8, 3]);
  next.drop();
  const last = await again();
  const asked = await last.request("watch");
  assert.deepEqual([asked.params.since, asked.params.known], [9, [1, 2, 3]]);
  last.reply(asked, { change: 20, resumed: false });
  last.init(1, 20, { list: [{ "#": 3 }] });
  last.init(3, 20, { n: 30 });
  last.notify("watch.delete", { "#": 2 });
  last.reply(await last.request("ping"), "pong");
  assert.deepEqual(values[3].list.map(({ n }) => n), [30]);
  assert.equal(values.length, 4);
});

test("what is watched by itself and in a tree is told twice after a reconnect, and applied once", async (t) => {
  const [db, wire] = await ready(t);
  const seen = [];
  const tree = db.tree(SCOPE, 1);
  following(tree);
  await reach(wire, 5, { "#": 1, child: { "#": 2 } }, { "#": 2, list: [] });
  await watching(db, wire, 2, { update: (jobs, event) => seen.push(event) }, 5, { list: [] });
  wire.drop();
  const next = await again();
  for (let count = 0; count < 2; count += 1) {
    const request = await next.request("watch");
    const ping = await next.request("ping");
    next.reply(request, { change: 7, resumed: true });
    next.update(2, 6, { splice: { list: [0, 0, 6] } });
    next.update(2, 7, { splice: { list: [1, 0, 7] } });
    next.reply(ping, "pong");
  }
  assert.deepEqual(seen, [6, 7]);
  assert.deepEqual(tree.getSnapshot().child.list, [6, 7]);
});

test("a tree that is left while another catches up leaves that what it knows", async (t) => {
  const [db, wire] = await ready(t);
  const tree = db.tree(SCOPE, 1);
  following(tree);
  await reach(wire, 5, { "#": 1, child: { "#": 3 } }, { "#": 3, n: 3 });
  const stop = db.tree(SCOPE, 2).subscribe(() => {});
  await reach(wire, 5, { "#": 2, child: { "#": 4 } }, { "#": 4, n: 4 });
  wire.drop();
  const next = await again();
  const requests = [await next.request("watch"), await next.request("ping")];
  stop();
  await turn();
  next.reply(requests[0], { change: 5, resumed: true });
  next.reply(requests[1], "pong");
  assert.deepEqual(tree.getSnapshot().child.n, 3);
});

test("a tree whose root went while there was no connection ends", async (t) => {
  const [db, wire] = await ready(t);
  const tree = db.tree(SCOPE, 1);
  tree.status.subscribe(() => {});
  following(tree);
  await reach(wire, 5, { "#": 1 });
  wire.drop();
  const next = await again();
  next.reply(await next.request("watch"), { change: 9, resumed: false });
  next.notify("watch.delete", { "#": 1 });
  assert.equal(tree.status.getSnapshot().error?.className, "LookupError");
  next.reply(await next.request("ping"), "pong");
  const other = db.watch(SCOPE, 7, {});
  next.reply(await next.request("watch"), null);
  next.notify("warning", { warn_code: 1, warn_msg: "there is no thing 7" }); // finds the right one
  await assert.rejects(other, { className: "LookupError" });
});

test("a tree that grows too large ends with the reason", async (t) => {
  const [db, wire] = await ready(t);
  const tree = db.tree(SCOPE, 1);
  const states = [];
  tree.status.subscribe((status) => states.push(status));
  following(tree);
  await reach(wire, 5, { "#": 1 });
  wire.notify("warning", { warn_code: 4, warn_msg: "too much", thing: 1 });
  wire.notify("watch.stop", { "#": 1, event: 6 });
  assert.deepEqual([states.at(-1).state, states.at(-1).error.message], ["ended", "too much"]);
  assert.throws(() => db.tree(SCOPE, "1"), { className: "TypeError" });
});

test("a tree that is refused leaves the watch of the same thing", async (t) => {
  const [db, wire] = await ready(t);
  const seen = [];
  await watching(db, wire, 1, { update: (jobs, event) => seen.push(event), stop: () => seen.push("stop") });
  const tree = db.tree(SCOPE, 1);
  tree.status.subscribe(() => {});
  tree.subscribe(() => {});
  wire.refuse(await wire.request("watch"), -63, "OperationError", "too much");
  assert.equal(tree.status.getSnapshot().error.message, "too much");
  wire.update(1, 2, { set: { x: 1 } });
  assert.deepEqual(seen, [2]);
});

test("a room is joined while somebody listens, and with history nothing is lost", async (t) => {
  const [db, wire] = await ready(t);
  const room = db.room(SCOPE, "hall", { history: true });
  const seen = [];
  const stop = room.on("hello", (...args) => seen.push(args));
  room.onMissed(() => seen.push("missed"));
  const request = await wire.request("join");
  assert.deepEqual(request.params, { scope: SCOPE, rooms: ["hall"], history: true });
  wire.reply(request, { rooms: [9], number: 100, resumed: false });
  wire.notify("room.emit", { scope: "@:stuff", id: 9, event: "hello", args: [1, 2], number: 105 });
  wire.notify("room.emit", { scope: "@:stuff", id: 8, event: "hello", args: [3], number: 106 });
  wire.drop();
  const next = await again();
  const rejoin = await next.request("join");
  assert.deepEqual(rejoin.params, { scope: SCOPE, rooms: ["hall"], since: 105 });
  next.reply(rejoin, { rooms: [9], number: 200, resumed: true });
  next.notify("room.emit", { scope: "@:stuff", id: 9, event: "hello", args: [4], number: 150 });
  next.drop();
  const last = await again();
  const asked = await last.request("join");
  assert.equal(asked.params.since, 150);
  last.reply(asked, { rooms: [9], number: 300, resumed: false });
  assert.deepEqual(seen, [[1, 2], [4], "missed"]);
  const emitting = room.emit("hello", 5);
  const emitted = await last.request("emit");
  assert.deepEqual(emitted.params, { scope: SCOPE, room: "hall", event: "hello", args: [5] });
  last.reply(emitted, null);
  await emitting;
  stop();
  room.close();
  assert.deepEqual((await last.request("leave")).params, { scope: SCOPE, rooms: [9] });
});

test("a slow client can ask for fresh state, and is told what it missed", async (t) => {
  Wire.opened = [];
  const connecting = connect({ ...QUICK, slow: "refresh" });
  const wire = await Wire.next();
  await wire.accept();
  const options = await wire.request("options");
  assert.deepEqual(options.params, { slow: "refresh" });
  const db = await connecting;
  t.after(() => db.close());
  wire.reply(options, { slow: "refresh", bytes: 1 });
  let missed = 0;
  const seen = [];
  await watching(db, wire, 4, { init: ({ thing }) => seen.push(thing.n) }, 1, { n: 1 });
  db.room(SCOPE, "hall").onMissed(() => (missed += 1));
  wire.reply(await wire.request("join"), [9]);
  wire.notify("warning", { warn_code: 5, warn_msg: "too slow", rooms: [8, 9], things: [] });
  wire.init(4, 7, { n: 7 });
  wire.update(4, 6, { set: { n: 6 } });
  assert.deepEqual([missed, seen], [1, [1, 7]]);
  wire.drop(); // other things may have been told of only up to 1
  const next = await again();
  await next.request("options");
  await next.request("join");
  assert.equal((await next.request("watch")).params.since, 1);
});

test("all events of a room in order, until it is gone", async (t) => {
  const [db, wire] = await ready(t);
  const room = db.room(SCOPE, "hall");
  const seen = [];
  const reading = (async () => {
    for await (const { event, args } of room) seen.push([event, ...args]);
  })();
  wire.reply(await wire.request("join"), [9]);
  wire.notify("room.emit", { id: 9, event: "a", args: [1] });
  wire.notify("room.emit", { id: 9, event: "b", args: [] });
  await turn();
  wire.notify("room.delete", { id: 9 });
  await assert.rejects(reading, { className: "LookupError" });
  assert.deepEqual(seen, [["a", 1], ["b"]]);
  const nowhere = db.room(SCOPE, "nowhere");
  nowhere.status.subscribe(() => {});
  nowhere.on("x", () => {});
  wire.reply(await wire.request("join"), [null]);
  assert.equal(nowhere.status.getSnapshot().error.className, "LookupError");
});

test("atomic queries and conditions", async (t) => {
  const [db, wire] = await ready(t);
  const query = db.query(SCOPE, ".x = 1", { y: 2 }, { atomic: true, decidedAt: 7, things: [1] });
  const request = await wire.request("query");
  assert.deepEqual(request.params, { scope: SCOPE, code: ".x = 1", vars: { y: 2 }, atomic: true, decided_at: 7, things: [1] });
  wire.refuse(request, -7, "ChangedError", "1 has changed");
  await assert.rejects(query, { className: "ChangedError" });
  db.run(SCOPE, "add", [], { atomic: true }).catch(() => {});
  assert.deepEqual((await wire.request("run")).params, { scope: SCOPE, procedure: "add", args: [], atomic: true });
});
