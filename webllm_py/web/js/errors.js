// Python's errors in JavaScript: a class for each of webllm_py/errors.py, by the same name and below
// the same base, with the same message and fields. The build writes them into error_classes.js.

const classes = new Map();

/** A class of errors, known by its name from then on. */
export function define(name, Parent) {
  const Class = class extends Parent {};
  Object.defineProperty(Class, "name", { value: name });
  Object.defineProperty(Class.prototype, "name", { value: name }); // a minifier leaves it
  classes.set(name, Class);
  return Class;
}

/** What all of them are; `fields` become properties. */
export class FieldsError extends Error {
  constructor(message, fields = {}) {
    super(message);
    Object.assign(this, fields);
  }
}

/**
 * The error that the worker describes: `names` of its class and of that one's bases (a class that
 * is not known here becomes the nearest base), `message`, `fields`. A defect is an `Error` of its name.
 */
export function errorFrom({ names, message, fields = {} }) {
  const Class = classes.get(names.find((name) => classes.has(name)));
  return Class ? new Class(message, fields) : Object.assign(new Error(message), { name: names[0] });
}
