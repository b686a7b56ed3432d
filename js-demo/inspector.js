/** The inspector page: a collection as a live tree, and a box for queries. */

import { Tree } from "./inspector-tree.js";
import { byId, complain, describe, element, openPage } from "./page.js";

/** @typedef {import("./livethings.js").Livethings} Livethings */
/** @typedef {import("./livethings.js").Mirror} Mirror */

const HISTORY = "livethings.history";
const HISTORY_LENGTH = 50;
const OTHER = "\0other";

/** Jobs of a root that change definitions; the next init tells how they are then. */
const DEFINES = /^(new|set|del|rename|mod)_(type|enum|procedure)/;

openPage(async (db) => {
  /** @type {{enums: any[], types: any[], procedures: any[]} | null} */
  let definitions = null;
  /** @type {Map<number, Promise<string>>} names of types by a thing's id */
  let types = new Map();
  /** @type {Tree | null} */
  let tree = null;
  /** @type {Mirror | null} */
  let root = null;
  let showing = 0;
  let scope = "//stuff";

  /** @type {import("./inspector-tree.js").Source} */
  const source = {
    mirror: (id) => db.mirror(scope, id),
    definitions: () => definitions,
    typeName(id, fresh) {
      const name = (!fresh && types.get(id)) || db.query(scope, "type(thing(id))", { id });
      types.set(id, name);
      return name;
    },
  };

  // The scope and its tree --------------------------------------------------------------------------------------------

  const select = byId("scope");
  /** @param {string[]} scopes */
  const offer = (scopes) => select.replaceChildren(
    ...scopes.map((one) => element("option", { value: one, selected: one === scope }, one)),
    element("option", { value: OTHER }, "Another scope …"));
  let offered = [scope, "@thingsdb", "@node"];
  offer(offered);
  db.query("@thingsdb", "collections_info()").then((infos) => {
    offered = [...new Set([scope, ...infos.map((/** @type {{name: string}} */ { name }) => `//${name}`), "@thingsdb", "@node"])];
    offer(offered);
  }, () => {}); // without the right to see collections, their names are typed

  select.addEventListener("change", async () => {
    const chosen = select.value === OTHER ? await askScope() : select.value;
    scope = chosen || scope;
    if (!offered.includes(scope)) offered.unshift(scope);
    offer(offered);
    if (!chosen) return;
    clearResult();
    showTree();
  });

  async function showTree() {
    const mine = ++showing;
    tree?.close();
    tree = null;
    root?.close();
    root = null;
    definitions = null;
    types = new Map();
    const place = byId("tree");
    const tell = (/** @type {string} */ text) => place.replaceChildren(element("p", { class: "empty" }, text));
    if (!isCollection(scope)) return tell("This scope holds no things. The query box works here.");
    tell("Loading …");
    try {
      const id = await db.query(scope, ".id()");
      const mirror = await db.mirror(scope, id);
      if (mine !== showing) return mirror.close();
      root = mirror;
      definitions = mirror.definitions;
      tree = new Tree(place, `Things of ${scope}`, scope, { "#": id }, source);
      mirror.on("end", () => {
        if (root === mirror) root = null;
        if (mine === showing) tell("This collection is gone, or you may not watch it any more.");
      });
      mirror.subscribe((_, change) => {
        definitions = mirror.definitions;
        if (change?.kind === "update" && change.jobs.some((job) => Object.keys(job).some((kind) => DEFINES.test(kind)))) {
          db.watch(scope, id, {}).then((watch) => watch.stop(), complain); // brings a new init, and is of no other use
        }
      });
      await tree.root.expand();
    } catch (error) {
      if (mine === showing) place.replaceChildren(element("p", { class: "empty problem", role: "alert" }, describe(error)));
    }
  }

  // The query box -----------------------------------------------------------------------------------------------------

  const form = byId("query");
  const code = byId("code");
  const variables = byId("variables");
  const result = byId("result");
  /** @type {Tree | null} */
  let resultTree = null;
  /** @type {string[]} newest last */
  let history = JSON.parse(sessionStorage.getItem(HISTORY) ?? "[]");
  let recalled = history.length;
  let draft = "";

  form.addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    const text = code.value;
    if (!text.trim()) return code.focus();
    remember(text);
    const started = performance.now();
    byId("run").disabled = true;
    try {
      const value = await db.query(scope, text, readVariables());
      byId("duration").textContent = `${(performance.now() - started).toFixed(1)} ms`;
      resultTree?.close();
      resultTree = new Tree(result, "Result", "", value, source);
      await resultTree.root.expand();
    } catch (error) {
      clearResult();
      result.replaceChildren(problem(error));
    } finally {
      byId("run").disabled = false;
    }
  });

  function clearResult() {
    resultTree?.close();
    resultTree = null;
    byId("duration").textContent = "";
    result.replaceChildren(element("p", { class: "empty" }, "Run a query to see its result."));
  }

  function readVariables() {
    if (!variables.value.trim()) return undefined;
    try {
      return JSON.parse(variables.value);
    } catch (error) {
      throw new Error(`The variables are no JSON: ${/** @type {Error} */ (error).message}`);
    }
  }

  code.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const { selectionStart: start, selectionEnd: end, value } = code;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    else if (event.key === "ArrowUp" && start === end && !value.slice(0, start).includes("\n")) recall(-1);
    else if (event.key === "ArrowDown" && start === end && !value.slice(start).includes("\n")) recall(1);
    else return;
    event.preventDefault();
  });

  /** @param {string} text */
  function remember(text) {
    history = [...history.filter((other) => other !== text), text].slice(-HISTORY_LENGTH);
    recalled = history.length;
    sessionStorage.setItem(HISTORY, JSON.stringify(history));
    listHistory();
  }

  /** @param {number} direction */
  function recall(direction) {
    const next = recalled + direction;
    if (next < 0 || next > history.length) return;
    if (recalled === history.length) draft = code.value;
    recalled = next;
    code.value = history[next] ?? draft;
    code.setSelectionRange(direction < 0 ? 0 : code.value.length, direction < 0 ? 0 : code.value.length);
  }

  function listHistory() {
    const menu = byId("history");
    const entry = (/** @type {string} */ text) => element("li", {}, element("button", { type: "button", on: { click: () => {
      code.value = text;
      menu.open = false;
      code.focus();
    } } }, text));
    byId("history-list").replaceChildren(...(history.length ? history.map(entry).reverse() : [element("li", { class: "hint" }, "Nothing yet.")]));
  }

  document.addEventListener("click", (event) => {
    if (!byId("history").contains(event.target)) byId("history").open = false;
  });
  byId("history").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape") byId("history").open = false;
  });

  clearResult();
  listHistory();
  await showTree();
});

/** @param {any} error */
function problem(error) {
  return element("div", { class: "failure", role: "alert" },
    element("p", {}, element("strong", {}, error.className ?? error.name), error.code !== null && error.code !== undefined && element("span", { class: "error-code" }, String(error.code))),
    element("pre", {}, error.message));
}

/** @param {string} scope */
function isCollection(scope) {
  return /^(\/\/|@:|[@/]c[a-z]*[:/])/.test(scope);
}

/** @returns {Promise<string>} a scope that somebody types; empty when not */
function askScope() {
  const input = element("input", { placeholder: "//stuff", required: true, autocomplete: "off", spellcheck: false, autocapitalize: "none" });
  const dialog = element("dialog", { "aria-labelledby": "scope-heading" },
    element("form", { method: "dialog" },
      element("h2", { id: "scope-heading" }, "Another scope"),
      element("label", { class: "field" }, element("span", {}, "A collection as //name, or @thingsdb, or @node"), input),
      element("div", { class: "row" }, element("span", { class: "space" }),
        element("button", { type: "button", on: { click: () => dialog.close("") } }, "Cancel"),
        element("button", { type: "submit", class: "primary", value: "ok" }, "Show"))));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue ? input.value.trim() : "");
    });
  });
}
