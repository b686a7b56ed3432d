/** What goes wrong, on the server or on the way there. */

/**
 * An error of the server, with its class (`LookupError`, `ForbiddenError`, …) and code, or one of the client's own, whose
 * code is null: `ConnectionError` (the connection broke, or could not be made), `TimeoutError`, `ClosedError` (after
 * `close()`), `QueueFullError`, `TypeError` (a value that can't be sent).
 */
export class LivethingsError extends Error {
  /**
   * @param {string} className
   * @param {string} message
   * @param {number | null} [code]
   */
  constructor(className, message, code = null) {
    super(message);
    this.name = className;
    /** @type {string} */
    this.className = className;
    /** @type {number | null} */
    this.code = code;
  }
}

export function notConnected() {
  return new LivethingsError("ClosedError", "There is no connection; connect() makes one.");
}

/** @param {{code?: number, message?: string, data?: {class?: string}}} error as JSON-RPC has it */
export function serverError({ code, message, data }) {
  return new LivethingsError(data?.class ?? "Error", message ?? "The server gave no reason.", code ?? null);
}
