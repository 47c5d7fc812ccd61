// What goes to Python, and what comes from there, as either side calls it.

// What may be said of a load, and what Python calls it.
const LOAD_OPTIONS = {
  contextLength: "context_length",
  device: "device",
  quantize: "quantize",
  kvDtype: "kv_dtype",
  tune: "tune",
  fetch: "fetch",
  vision: "vision",
  slidingWindowSize: "sliding_window_size",
  attentionSinkSize: "attention_sink_size",
  chatTemplate: "chat_template",
};
/** The same of a model beside another, whose device it shares. */
export const OPTIONS_BESIDE = (({ device, ...rest }) => rest)(LOAD_OPTIONS);
const PROGRESS = {
  bytes_per_second: "bytesPerSecond",
  seconds_left: "secondsLeft",
};

/** A model as a worker can be sent it. */
export function cloneable(model) {
  if (model instanceof URL) return model.href;
  const isList = typeof model === "object" && model !== null && Symbol.iterator in model;
  return isList ? { files: [...model] } : model;
}

/** The fields of a request: what JSON would leave out in silence is refused. */
export function checked(fields) {
  const text = JSON.stringify(fields, (name, value) => {
    if (typeof value === "function" || typeof value === "symbol") {
      throw new TypeError(`"${name}" is a ${typeof value}, which cannot be sent to Python.`);
    }
    return value;
  });
  return JSON.parse(text);
}

/** Options of a load by Python's names; one that is none is refused. */
export function pythonNames(options, names = LOAD_OPTIONS) {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(names, name)) {
      const known = ["model", "onProgress", "signal", ...Object.keys(names)].join(", ");
      throw new TypeError(`There is no option "${name}"; there are ${known}.`);
    }
  }
  const given = Object.entries(options).filter(([, value]) => value != null);
  const plain = (value) => (value instanceof URL ? value.href : value);
  return Object.fromEntries(given.map(([name, value]) => [names[name], plain(value)]));
}

/** A report of a load by the names of webllm_py.d.ts. */
export function renamed(progress) {
  const entries = Object.entries(progress);
  return Object.fromEntries(entries.map(([name, value]) => [PROGRESS[name] ?? name, value]));
}
