/** Values that are never changed but replaced, and share with their successors all that stays the same. */

/**
 * Freezes a value of JSON with all that is in it.
 *
 * @template T
 * @param {T} value
 * @returns {T} the value
 */
export function frozen(value) {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) frozen(part);
  }
  return value;
}

/**
 * A new value, made of as much of the old one as is equal; things in lists are found by their ids.
 *
 * @param {any} old frozen
 * @param {any} now
 * @returns {any} frozen; `old` itself when they are equal
 */
export function shared(old, now) {
  if (Object.is(old, now) || typeof now !== "object" || now === null) return now;
  if (typeof old !== "object" || old === null || Array.isArray(old) !== Array.isArray(now)) return frozen(now);
  if (Array.isArray(now)) {
    const byId = new Map(old.flatMap((/** @type {any} */ item) => (item?.["#"] ? [[item["#"], item]] : [])));
    const items = now.map((item, index) => shared(byId.get(item?.["#"]) ?? old[index], item));
    const same = items.length === old.length && items.every((item, index) => Object.is(item, old[index]));
    return same ? old : Object.freeze(items);
  }
  let same = Object.keys(old).length === Object.keys(now).length;
  for (const name of Object.keys(now)) {
    const before = Object.hasOwn(old, name) ? old[name] : undefined;
    const part = shared(before, now[name]);
    if (part !== now[name]) put(now, name, part);
    same &&= Object.is(part, before) && Object.hasOwn(old, name);
  }
  return same ? old : Object.freeze(now);
}

/**
 * A value after a JSON patch (RFC 6902) of the operations `add`, `remove` and `replace`.
 *
 * @param {any} value frozen; it stays as it is
 * @param {{op: string, path: string, value?: any}[]} operations
 * @returns {any} frozen; it shares with `value` what the patch does not touch
 * @throws {RangeError} when it is no patch of this value
 */
export function patched(value, operations) {
  const whole = { "": value };
  const copies = new Set([whole]); // what is our own, and not frozen yet
  for (const { op, path, value: given } of operations) {
    const steps = path.split("/").map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
    if (steps[0] !== "") throw new RangeError(`"${path}" is no path.`);
    const name = /** @type {string} */ (steps.pop());
    /** @type {any} */
    let place = whole;
    for (const step of steps) {
      const part = place[own(place, step, 0, path)];
      if (typeof part !== "object" || part === null) throw new RangeError(`There is nothing at "${path}".`);
      if (!copies.has(part)) {
        const copy = Array.isArray(part) ? [...part] : { ...part };
        copies.add(copy);
        put(place, step, copy);
        place = copy;
      } else place = part;
    }
    if (op === "add") {
      const item = frozen(given);
      if (Array.isArray(place)) place.splice(Number(own(place, name === "-" ? String(place.length) : name, 1, path)), 0, item);
      else put(place, name, item);
    } else if (op === "replace") {
      put(place, own(place, name, 0, path), frozen(given));
    } else if (op === "remove") {
      const key = own(place, name, 0, path);
      if (Array.isArray(place)) place.splice(Number(key), 1);
      else delete place[key];
    } else throw new RangeError(`"${op}" is no operation of a patch from this server.`);
  }
  for (const copy of copies) Object.freeze(copy);
  return whole[""];
}

/**
 * @param {any} place a list or an object
 * @param {string} name an index or a name that must be there
 * @param {number} beyond how far behind the end of a list it may be
 * @param {string} path for the error
 */
function own(place, name, beyond, path) {
  const there = Array.isArray(place)
    ? /^(0|[1-9]\d*)$/.test(name) && Number(name) < place.length + beyond
    : Object.hasOwn(place, name);
  if (!there) throw new RangeError(`There is nothing at "${path}".`);
  return name;
}

/**
 * Sets a property, whatever its name: `object["__proto__"] = …` would do something else.
 *
 * @param {any} place
 * @param {string} name
 * @param {any} value
 */
function put(place, name, value) {
  if (name === "__proto__") {
    Object.defineProperty(place, name, { value, writable: true, enumerable: true, configurable: true });
  } else place[name] = value;
}
