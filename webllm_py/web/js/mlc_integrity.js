// WebLLM's `integrity` of a model: digests as Subresource Integrity (W3C) writes them.

import { IntegrityError } from "./error_classes.js";
import { UnsupportedFieldsError } from "./mlc_errors.js";
import { warn } from "./mlc_log.js";

const SRI = /^sha(256|384|512)-([A-Za-z0-9+/]+={0,2})$/;
const CONFIG = "mlc-chat-config.json";
const FIELDS = ["config", "model_lib", "tokenizer", "params", "onFailure"];

/** Whether a text is "sha256-", "sha384-" or "sha512-" and base64. */
export function isValidSRI(text) {
  return SRI.test(text);
}

/** Compare bytes with a digest: an IntegrityError, or with "warn" a warning, where they are others. */
export async function verifyIntegrity(data, expected, url, onFailure = "error") {
  const [, bits, digest] = SRI.exec(expected) ?? [];
  if (!bits) throw noDigest(expected);
  const bytes = new Uint8Array(await crypto.subtle.digest(`SHA-${bits}`, data));
  const found = btoa(String.fromCharCode(...bytes));
  if (bare(found) === bare(digest)) return;
  const actual = `sha${bits}-${found}`;
  const message = `${url} is not the file that was meant: ${expected} was expected and ${actual} came.`;
  if (onFailure !== "warn") throw new IntegrityError(message, { url, expected, actual });
  warn(message);
}

/** What `fetch` of a load takes instead; a library is not fetched, so that there is none to compare. */
export function pinsOf(integrity) {
  if (!integrity) return {};
  const others = Object.keys(integrity).filter((name) => !FIELDS.includes(name));
  if (others.length) {
    throw new UnsupportedFieldsError(`integrity: ${others.join(", ")}; there are ${FIELDS.join(", ")}.`);
  }
  const { config, tokenizer, params, onFailure = "error" } = integrity;
  const files = { ...(config && { [CONFIG]: config }), ...tokenizer, ...params };
  for (const expected of Object.values(files)) if (!isValidSRI(expected)) throw noDigest(expected);
  return { integrity: files, mismatch: onFailure };
}

const bare = (base64) => base64.replace(/=+$/, "");
const noDigest = (text) =>
  new Error(`"${text}" is no digest: it must be "sha256-", "sha384-" or "sha512-" and base64.`);
