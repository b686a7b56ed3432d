/**
 * What every page has: logging in, the connection's state, notices, announcements, and making elements.
 *
 * Text reaches the page by `textContent` and properties only, never as markup.
 */

import { Livethings } from "./livethings.js";

const REMEMBERED = "livethings.credentials";

/**
 * Makes an element.
 *
 * @param {string} tag
 * @param {{[name: string]: any}} [properties] `class`, `dataset`, `on` (listeners by event), `aria-…`, `role` and the
 *     like as attributes; everything else as a property
 * @param {(Node | string | null | undefined | false)[]} children
 * @returns {any} the element; loosely typed, since callers know which it is
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "class") made.className = value;
    else if (name === "dataset") Object.assign(made.dataset, value);
    else if (name === "on") for (const [type, listener] of Object.entries(value)) made.addEventListener(type, listener);
    else if (name.startsWith("aria-") || name === "role" || name === "for") made.setAttribute(name, String(value));
    else Reflect.set(made, name, value);
  }
  for (const child of children) if (child !== null && child !== undefined && child !== false) made.append(child);
  return made;
}

/**
 * Makes an element the one at a place, and moves it only if it is not.
 *
 * @param {Element} parent
 * @param {Element} child
 * @param {number} index
 */
export function put(parent, child, index) {
  if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
}

/**
 * @param {Element} target
 * @param {string} text
 */
export function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * @param {string} id
 * @returns {any} the page's element of that id
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no element "${id}".`);
  return found;
}

/** @param {any} error @returns {string} for people: the class, then the message */
export function describe(error) {
  return error?.className ? `${error.className}: ${error.message}` : String(error?.message ?? error);
}

// What a <details class="popup"> shows is closed by a click elsewhere, and by Escape.
document.addEventListener("click", ({ target }) => {
  for (const popup of /** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll("details.popup[open]"))) {
    if (!popup.contains(/** @type {Node} */ (target))) popup.open = false;
  }
});
document.addEventListener("keydown", ({ key, target }) => {
  const popup = target instanceof Element && target.closest("details.popup");
  if (key === "Escape" && popup instanceof HTMLDetailsElement) popup.open = false;
});

// Notices and announcements -------------------------------------------------------------------------------------------

const notices = element("div", { class: "notices" });

/**
 * Shows a short message in the corner for a while.
 *
 * @param {string} text
 * @param {{error?: boolean, action?: {label: string, run: () => void}}} [options]
 */
export function notice(text, options = {}) {
  const { error = false, action } = options;
  if (!notices.isConnected) document.body.append(notices);
  const remove = () => box.remove();
  const box = element("div", { class: error ? "notice error" : "notice", role: error ? "alert" : "status" },
    element("span", {}, text),
    action && element("button", { type: "button", class: "link", on: { click: () => (action.run(), remove()) } }, action.label),
    element("button", { type: "button", class: "quiet", "aria-label": "Dismiss", on: { click: remove } }, "✕"));
  notices.append(box);
  while (notices.childElementCount > 4) notices.firstElementChild?.remove();
  setTimeout(remove, error ? 12_000 : 7_000);
}

/** @param {any} error shown as a notice */
export function complain(error) {
  notice(describe(error), { error: true });
}

/** @type {{[politeness: string]: HTMLElement}} */
const voices = {};

/**
 * Tells users of a screen reader what has happened.
 *
 * @param {string} text
 * @param {"polite" | "assertive"} [politeness]
 */
export function announce(text, politeness = "polite") {
  if (!voices[politeness]) {
    voices[politeness] = element("div", { class: "unseen", "aria-live": politeness, "aria-atomic": "true" });
    document.body.append(voices[politeness]);
  }
  voices[politeness].textContent = text;
}

// The session ---------------------------------------------------------------------------------------------------------

/**
 * Logs in, with what this tab remembers or by asking, and then starts the page.
 *
 * @param {(db: Livethings) => Promise<void>} start called once, with a connection that is ready
 */
export function openPage(start) {
  const form = logInForm();
  /** @type {Livethings | null} */
  let current = null;
  let started = false;

  /** @param {import("./livethings.js").Credentials} credentials */
  const logIn = async (credentials) => {
    const [previous, db] = [current, new Livethings(credentials)];
    current = db;
    previous?.close();
    const shown = showConnection(db);
    db.on("state", (change) => {
      if (db !== current) return;
      shown(change);
      form.show(change);
      if (change.state === "closed") {
        sessionStorage.removeItem(REMEMBERED);
        form.ask(change.error?.message ?? "");
      }
    });
    try {
      await db.connect();
    } catch {
      return; // the form says why
    }
    sessionStorage.setItem(REMEMBERED, JSON.stringify(credentials));
    if (started) return location.reload(); // logged in anew, perhaps as somebody else: begin with an empty page
    form.done();
    started = true;
    await start(db).catch(complain);
  };

  form.onSubmit(logIn);
  globalThis.addEventListener("online", () => current?.retryNow());
  const remembered = JSON.parse(sessionStorage.getItem(REMEMBERED) ?? "null");
  if (remembered) logIn(remembered);
  else form.ask("");
}

function logInForm() {
  const problem = element("p", { class: "problem", role: "alert" });
  const user = element("input", { name: "user", autocomplete: "username", value: "admin", required: true, spellcheck: false, autocapitalize: "none" });
  const password = element("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  const token = element("input", { name: "token", type: "password", autocomplete: "off", spellcheck: false });
  const byUser = element("div", { class: "fields" },
    element("label", {}, element("span", {}, "User"), user),
    element("label", {}, element("span", {}, "Password"), password));
  const byToken = element("div", { class: "fields", hidden: true }, element("label", {}, element("span", {}, "Token"), token));
  const submit = element("button", { type: "submit", class: "primary" }, "Log in");
  const swap = element("button", { type: "button", class: "link" }, "Use a token instead");
  const dialog = element("dialog", { class: "log-in", "aria-labelledby": "log-in-title" },
    element("form", { method: "dialog" },
      element("img", { src: "favicon.svg", alt: "", width: 40, height: 40 }),
      element("h1", { id: "log-in-title" }, "Log in to Livethings"),
      byUser, byToken, problem, submit, swap,
      element("p", { class: "hint" }, "A fresh server has the user admin with the password pass. Remembered until this tab is closed.")));
  document.body.append(dialog);

  const withToken = () => !byToken.hidden;
  swap.addEventListener("click", () => {
    byUser.hidden = !byUser.hidden;
    byToken.hidden = !byUser.hidden;
    user.required = password.required = !withToken();
    token.required = withToken();
    swap.textContent = withToken() ? "Use user and password instead" : "Use a token instead";
    (withToken() ? token : user).focus();
  });
  dialog.addEventListener("cancel", (/** @type {Event} */ event) => event.preventDefault()); // there is nothing behind it

  return {
    /** @param {string} reason */
    ask(reason) {
      problem.textContent = reason;
      submit.disabled = false;
      submit.textContent = "Log in";
      if (!dialog.open) dialog.showModal();
      (withToken() ? token : password).focus();
    },
    /** @param {import("./livethings.js").StateChange} change */
    show({ state, reason }) {
      if (!dialog.open || state === "closed") return;
      problem.textContent = state === "reconnecting" ? `No connection: ${reason}. Trying again …` : "";
    },
    done() {
      dialog.close();
      password.value = token.value = "";
    },
    /** @param {(credentials: import("./livethings.js").Credentials) => void} listener */
    onSubmit(listener) {
      dialog.firstElementChild.addEventListener("submit", (/** @type {Event} */ event) => {
        event.preventDefault();
        submit.disabled = true;
        submit.textContent = "Logging in …";
        problem.textContent = "";
        listener(withToken() ? { token: token.value } : { user: user.value, password: password.value });
      });
    },
  };
}

const WORDS = { idle: "Not connected", connecting: "Connecting", ready: "Connected", reconnecting: "Reconnecting", closed: "Logged out" };

/**
 * The state in the page's header, and a strip below it while there is no connection.
 *
 * @param {Livethings} db
 * @returns {(change: import("./livethings.js").StateChange) => void} shows a change
 */
function showConnection(db) {
  const word = element("span", { class: "word" });
  const detail = element("p");
  const menu = element("details", { class: "connection popup" },
    element("summary", {}, element("span", { class: "dot", "aria-hidden": "true" }), word),
    element("div", { class: "menu" }, detail,
      element("button", { type: "button", on: { click: logOut } }, "Log out")));
  const explanation = element("span");
  const strip = element("div", { class: "strip", hidden: true }, explanation,
    element("button", { type: "button", class: "link", on: { click: () => db.retryNow() } }, "Try now"));
  const header = document.querySelector("header.bar");
  header?.querySelector(".connection")?.remove();
  document.querySelector(".strip")?.remove();
  header?.append(menu);
  header?.after(strip);

  /** @type {ReturnType<typeof setInterval> | undefined} */
  let countdown;
  return ({ state, reason, retryIn }) => {
    // Told once, and not with each second of the countdown.
    if (state === "reconnecting" && menu.dataset.state === "ready") announce(`No connection: ${reason}.`);
    if (state === "ready" && !strip.hidden) announce("Connected again.");
    menu.dataset.state = state;
    document.documentElement.dataset.connection = state;
    word.textContent = WORDS[state];
    detail.textContent = state === "ready" ? `Connected to ${location.host}` : reason || WORDS[state];
    clearInterval(countdown);
    if (state === "ready" || state === "closed") strip.hidden = true;
    if (state !== "reconnecting") return;
    strip.hidden = false;
    if (retryIn === null) {
      explanation.textContent = `No connection: ${reason}. Trying …`;
      return;
    }
    const due = Date.now() + retryIn;
    const count = () => {
      const seconds = Math.max(0, Math.ceil((due - Date.now()) / 1000));
      explanation.textContent = `No connection: ${reason}. Trying again in ${seconds} s.`;
    };
    count();
    countdown = setInterval(count, 1000);
  };
}

function logOut() {
  sessionStorage.removeItem(REMEMBERED);
  location.reload();
}
