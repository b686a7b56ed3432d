/** How the inspector reads values: their kind, a short text, and what is inside them. */

import { isThing, members } from "./livethings.js";

/** @typedef {import("./livethings.js").Thing} Thing */

/**
 * @typedef {object} Shown
 * @property {string} kind for the colour: nil, bool, number, text, list, set, thing, enum, code, time, error
 * @property {string} text
 * @property {number | null} id of the thing that it refers to; its properties come by watching it
 * @property {[string, any][] | null} inside names and values of what the value itself holds; null when it holds nothing
 */

/**
 * @param {any} value as it is in a mirror or a result
 * @param {{enums: any[], types: any[]} | null} definitions of the collection, for the names of enums and types
 * @returns {Shown}
 */
export function show(value, definitions) {
  const plain = (/** @type {string} */ kind, /** @type {string} */ text) => ({ kind, text, id: null, inside: null });
  if (value === null || value === undefined) return plain("nil", "nil");
  if (typeof value === "boolean") return plain("bool", String(value));
  if (typeof value === "number") return plain("number", String(value));
  if (typeof value === "string") return plain("text", JSON.stringify(value));
  if (Array.isArray(value)) {
    return { kind: "list", text: count(value.length, "item"), id: null, inside: value.map((item, index) => [String(index), item]) };
  }
  if (isThing(value)) {
    const inside = properties(value);
    return { kind: "thing", text: `#${value["#"]}`, id: value["#"], inside: inside.length ? inside : null };
  }
  if ("$" in value) {
    const things = [...members(value)].sort((a, b) => a["#"] - b["#"]);
    return { kind: "set", text: `set of ${things.length}`, id: null, inside: things.map((thing) => [`#${thing["#"]}`, thing]) };
  }
  if ("%" in value) return plain("enum", memberName(value["%"], definitions?.enums ?? []));
  if ("&" in value) {
    const [typeId, thing] = value["&"];
    const name = definitions?.types.find((type) => type.type_id === typeId)?.name ?? "wrapped";
    return { kind: "thing", text: `<${name}> #${thing["#"]}`, id: thing["#"], inside: null };
  }
  if ("/" in value) return plain("code", value["/"]);
  if ("*" in value) return plain("code", value["*"]);
  if ("!" in value) return plain("error", `${value["!"]}: ${value.error_msg}`);
  if ("'" in value) return plain("time", moment(value["'"]));
  if ('"' in value) return plain("time", moment(value['"']));
  return { kind: "thing", text: "without id", id: null, inside: properties(value) };
}

/** @param {Thing} thing @returns {[string, any][]} */
export function properties(thing) {
  return Object.entries(thing).filter(([name]) => name !== "#");
}

/**
 * @param {number} number
 * @param {string} what
 */
function count(number, what) {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

/**
 * @param {[number, number]} member
 * @param {any[]} enums
 */
function memberName([enumId, index], enums) {
  const found = enums.find((one) => one.enum_id === enumId);
  return found ? `${found.name}{${found.members[index]?.[0] ?? index}}` : `enum ${enumId}, member ${index}`;
}

/** @param {[number, number | null, number | null]} parts seconds, minutes from UTC, index of the time zone */
function moment([seconds, minutes]) {
  const offset = minutes ?? 0;
  const date = new Date((seconds + offset * 60) * 1000);
  if (Number.isNaN(date.valueOf())) return `${seconds} s`; // beyond what a Date can hold
  const local = date.toISOString().slice(0, 19);
  const two = (/** @type {number} */ number) => String(Math.trunc(Math.abs(number))).padStart(2, "0");
  return offset ? `${local}${offset < 0 ? "-" : "+"}${two(offset / 60)}:${two(offset % 60)}` : `${local}Z`;
}
