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

/** Classes by their codes, for events, which have only the code (docs/protocol.md, "Errors"). */
const CLASSES = new Map(Object.entries({
  "-64": "CancelledError", "-63": "OperationError", "-62": "NumArgumentsError", "-61": "TypeError", "-60": "ValueError",
  "-59": "OverflowError", "-58": "ZeroDivisionError", "-57": "MaxQuotaError", "-56": "AuthError",
  "-55": "ForbiddenError", "-54": "LookupError", "-53": "BadDataError", "-52": "SyntaxError", "-51": "NodeError",
  "-50": "AssertionError", "-7": "ChangedError", "-6": "ResultTooLargeError", "-5": "RequestTimeoutError", "-4": "RequestCancelError",
  "-2": "MemoryError", "-1": "InternalError",
}));

/**
 * @param {number} code
 * @param {string} message
 */
export function serverErrorByCode(code, message) {
  return new LivethingsError(CLASSES.get(String(code)) ?? "CustomError", message, code);
}
