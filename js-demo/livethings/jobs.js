/** Things as they are in events, and what a change's jobs make of them. All that these functions give is frozen. */

/** @typedef {import("../livethings.js").Job} Job */
/** @typedef {import("../livethings.js").Thing} Thing */

/**
 * A thing after some jobs. The given one stays as it is, and what the jobs don't touch is shared with it. Jobs that don't
 * alter the thing's own properties (`event`, `to_type`, those of definitions, unknown ones) are passed over.
 *
 * @param {Thing} thing
 * @param {readonly Job[]} jobs
 * @returns {Thing} the same one when nothing was altered
 */
export function applyJobs(thing, jobs) {
  /** @type {any} without a prototype, since "__proto__" may be a property's name */
  let next = null;
  const copied = new Set(); // names of lists that were copied already
  for (const job of jobs) {
    const [kind, body] = Object.entries(job)[0] ?? [];
    if (!["set", "del", "splice", "add", "remove"].includes(kind ?? "")) continue;
    next ??= Object.assign(Object.create(null), thing);
    if (kind === "del") delete next[body];
    else if (kind === "set") {
      for (const name of Object.keys(body)) {
        next[name] = referring(body[name]);
        copied.delete(name);
      }
    } else if (kind === "splice") {
      for (const name of Object.keys(body)) {
        const [index, deleted, ...items] = body[name];
        if (!copied.has(name)) next[name] = [...(next[name] ?? [])];
        copied.add(name);
        next[name].splice(index, deleted, ...items.map(referring));
      }
    } else {
      for (const name of Object.keys(body)) {
        const changed = new Set(body[name].map((/** @type {any} */ item) => (kind === "add" ? item["#"] : item)));
        const kept = members(next[name]).filter((member) => !changed.has(member["#"]));
        const all = kind === "add" ? [...kept, ...body[name].map(referring)] : kept;
        next[name] = Object.freeze({ $: Object.freeze(all) });
      }
    }
  }
  if (!next) return thing;
  for (const name of copied) Object.freeze(next[name]);
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
 * @param {Thing} thing as an init has it
 * @param {Thing | null} before what was known of it
 * @returns {Thing} with references for the things in it; it shares with `before` what is the same, and is `before` itself
 *     when all is
 */
export function mirrored(thing, before) {
  const next = Object.create(null);
  let same = before !== null && Object.keys(before).length === Object.keys(thing).length;
  for (const name of Object.keys(thing)) {
    const value = name === "#" ? thing[name] : referring(thing[name]);
    const known = before !== null && Object.hasOwn(before, name) && equal(before[name], value);
    next[name] = known ? before[name] : value;
    same &&= known;
  }
  return same && before !== null ? before : Object.freeze(next);
}

/**
 * Whether two values of things are the same; sets have no order.
 *
 * @param {any} one
 * @param {any} other
 * @returns {boolean}
 */
function equal(one, other) {
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return Object.is(one, other);
  if (Array.isArray(one.$) && Array.isArray(other.$)) {
    const ids = new Set(one.$.map((/** @type {Thing} */ member) => member["#"]));
    return ids.size === other.$.length && other.$.every((/** @type {Thing} */ member) => ids.has(member["#"]));
  }
  const names = Object.keys(one);
  return Array.isArray(one) === Array.isArray(other) && names.length === Object.keys(other).length
    && names.every((name) => Object.hasOwn(other, name) && equal(one[name], other[name]));
}

/**
 * A value with every thing in it as a reference: what a job shows of a new thing is old with the thing's next change.
 *
 * @param {any} value
 * @returns {any}
 */
function referring(value) {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return Object.freeze(value.map(referring));
  if (isThing(value)) return Object.freeze({ "#": value["#"] });
  for (const kind of ["$", "&"]) {
    if (Array.isArray(value[kind])) return Object.freeze({ [kind]: referring(value[kind]) });
  }
  return Object.freeze(value); // {"%": [enum, index]} and the like
}
