// What WebLLM's names say on the console besides throwing: little, and only warnings.

const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "SILENT"];
let level = LEVELS.indexOf("WARN");

/** One level for all engines of a page, as WebLLM has it. */
export function setLogLevel(name) {
  const found = LEVELS.indexOf(`${name}`.toUpperCase());
  if (found < 0) throw new TypeError(`There is no log level "${name}"; there are ${LEVELS.join(", ")}.`);
  level = found;
}

export function warn(message) {
  if (level <= LEVELS.indexOf("WARN")) console.warn(message);
}
