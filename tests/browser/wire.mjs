// A server that a test plays itself: the other end of the client's WebSocket.
import assert from "node:assert/strict";

import { connect } from "../../js-demo/livethings.js";

export const SCOPE = "//stuff";

/** A WebSocket whose other end is in the test's hands. */
export class Wire {
  /** every socket that was opened, the newest last */
  static opened = [];
  static waiting = [];

  constructor(url) {
    this.url = String(url);
    this.requests = [];
    this.readers = [];
    Wire.opened.push(this);
    Wire.waiting.shift()?.(this);
  }

  /** the next socket that is opened, which may be open already */
  static next() {
    const fresh = Wire.opened.find((wire) => !wire.taken) ?? new Promise((resolve) => Wire.waiting.push(resolve));
    return Promise.resolve(fresh).then((wire) => Object.assign(wire, { taken: true }));
  }

  // what the client calls
  send(text) {
    const request = JSON.parse(text);
    assert.equal(request.jsonrpc, "2.0");
    const reader = this.readers.shift();
    if (reader) reader(request);
    else this.requests.push(request);
  }

  close() {
    this.closed = true;
  }

  // what the test does
  async request(method) {
    const request = this.requests.shift() ?? (await new Promise((resolve) => this.readers.push(resolve)));
    assert.equal(request.method, method);
    return request;
  }

  reply(request, result) {
    this.onmessage({ data: JSON.stringify({ jsonrpc: "2.0", id: request.id, result }) });
  }

  refuse(request, code, className, message) {
    this.onmessage({ data: JSON.stringify({ jsonrpc: "2.0", id: request.id, error: { code, message, data: { class: className } } }) });
  }

  notify(method, params) {
    this.onmessage({ data: JSON.stringify({ jsonrpc: "2.0", method, params }) });
  }

  init(id, event, properties = {}, more = {}) {
    this.notify("watch.init", { event, thing: { "#": id, ...properties }, collection: "stuff", ...more });
  }

  update(id, event, ...jobs) {
    this.notify("watch.update", { "#": id, event, jobs });
  }

  drop(code = 1006, reason = "") {
    this.onclose({ code, reason });
  }

  async accept() {
    this.onopen({});
    this.reply(await this.request("auth"), null);
  }
}

export const QUICK = {
  url: "ws://test/", user: "admin", password: "pass", WebSocket: Wire, retryDelay: 1, retryDelayMax: 1, heartbeat: 0,
  random: () => 0,
};

export async function ready(t, options = {}) {
  Wire.opened = [];
  const connecting = connect({ ...QUICK, ...options });
  const wire = await Wire.next();
  await wire.accept();
  const db = await connecting;
  t.after(() => db.close());
  return [db, wire];
}

export async function again() {
  const wire = await Wire.next();
  await wire.accept();
  return wire;
}

export async function watching(db, wire, id, handlers = {}, event = 1, properties = {}) {
  const starting = db.watch(SCOPE, id, handlers);
  wire.reply(await wire.request("watch"), null);
  wire.init(id, event, properties);
  return starting;
}
