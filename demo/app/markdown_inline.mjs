// Markdown within a block: emphasis, code, links, mathematics, entities and line breaks, as plain objects.

const DEEPEST = 12; // nested emphasis and links; deeper ones stay text
const LONGEST_ADDRESS = 2048;
const ADDRESS = /^(?:https?:\/\/|mailto:)[^\s<>]+$/i;

/**
 * Inline text to parts: strings and {type, ...}.
 * Linear in the text: a closing mark that was looked for and not found is not looked for again.
 */
export function parseInline(text, depth = 0) {
  const parts = [];
  const missing = new Set();
  let plain = "";
  let at = 0;
  const flush = () => {
    if (plain) parts.push(plain);
    plain = "";
  };
  while (at < text.length) {
    const found = INLINE_STARTS.has(text[at]) ? inlineAt(text, at, depth, missing) : null;
    if (found) {
      flush();
      parts.push(found.part);
      at = found.end;
    } else {
      plain += text[at];
      at += 1;
    }
  }
  flush();
  return parts;
}

const INLINE_STARTS = new Set("\\`*_~[!&$h\n");
const MATHS = [["\\(", "\\)"], ["\\[", "\\]"], ["$$", "$$"], ["$", "$"]];
const ENTITY = /^&(?:(amp|lt|gt|quot|apos|nbsp)|#(\d{1,7})|#x([\da-f]{1,6}));/i;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };
const EMPHASIS = [
  ["***", "both"],
  ["**", "strong"],
  ["__", "strong"],
  ["~~", "deleted"],
  ["*", "emphasis"],
  ["_", "emphasis"],
];

function inlineAt(text, at, depth, missing) {
  switch (text[at]) {
    case "$":
      return mathAt(text, at, missing);
    case "&":
      return entityAt(text, at);
    case "!": // an image: a link to it
      return text[at + 1] === "[" && depth < DEEPEST ? linkAt(text, at + 1, depth, missing) : null;
    case "\\":
      return mathAt(text, at, missing) ?? escapeAt(text, at);
    case "\n":
      return { part: { type: "break" }, end: at + 1 };
    case "`":
      return codeAt(text, at, missing);
    case "[":
      return depth < DEEPEST ? linkAt(text, at, depth, missing) : null;
    case "h":
      return addressAt(text, at);
    default:
      return depth < DEEPEST ? emphasisAt(text, at, depth, missing) : null;
  }
}

function escapeAt(text, at) {
  return /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "") ? { part: text[at + 1], end: at + 2 } : null;
}

function entityAt(text, at) {
  const found = ENTITY.exec(text.slice(at, at + 10));
  if (!found) return null;
  const [whole, name, decimal, hex] = found;
  const code = decimal ? Number(decimal) : Number.parseInt(hex, 16);
  const isText = code >= 0x20 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
  if (!name && !isText) return null;
  return { part: name ? ENTITIES[name.toLowerCase()] : String.fromCodePoint(code), end: at + whole.length };
}

/** TeX, as it is written; no prices, as in "$5 and $6", and no brackets that are escaped, as in "\\[1\\]". */
function mathAt(text, at, missing) {
  const [open, close] = MATHS.find(([mark]) => text.startsWith(mark, at)) ?? [];
  if (!open) return null;
  const end = find(text, close, at + open.length + 1, missing);
  if (end < 0) return null;
  const inner = text.slice(at + open.length, end);
  if (open === "$" && (/^\s|\s$|\n/.test(inner) || /\d/.test(text[end + 1] ?? ""))) return null;
  if (open[0] === "\\" && !/[\\=^_+{<>]|^\s/.test(inner)) return null;
  return { part: { type: "code", text: inner.trim() }, end: end + close.length };
}

function find(text, mark, from, missing) {
  if (missing.has(mark)) return -1;
  const at = text.indexOf(mark, from);
  if (at < 0) missing.add(mark);
  return at;
}

function codeAt(text, at, missing) {
  const mark = /^`{1,16}/.exec(text.slice(at, at + 16))[0];
  const end = find(text, mark, at + mark.length, missing);
  if (end < 0) return null;
  const inner = text.slice(at + mark.length, end).replace(/^ (.*) $/s, "$1");
  return { part: { type: "code", text: inner }, end: end + mark.length };
}

function linkAt(text, at, depth, missing) {
  const middle = find(text, "](", at + 1, missing);
  if (middle < 0 || text.slice(at + 1, middle).includes("[")) return null;
  const end = find(text, ")", middle + 2, missing) < 0 ? -1 : linkEnd(text, middle + 2);
  if (end < 0) return null;
  const [address, title = '""'] = text.slice(middle + 2, end).trim().split(/\s+(.*)/s);
  if (!ADDRESS.test(address) || !/^["'(]/.test(title)) return null;
  const parts = parseInline(text.slice(at + 1, middle), DEEPEST);
  return { part: { type: "link", address, parts }, end: end + 1 };
}

// Where a link's address and title end: parentheses inside them come in pairs.
function linkEnd(text, from) {
  const last = Math.min(text.length, from + LONGEST_ADDRESS);
  for (let at = from, open = 0; at < last; at++) {
    if (text[at] === "(") open += 1;
    if (text[at] !== ")") continue;
    if (open === 0) return at;
    open -= 1;
  }
  return -1;
}

function addressAt(text, at) {
  if (/\w/.test(text[at - 1] ?? "")) return null;
  const found = /^https?:\/\/[^\s<>"'`\\]+/.exec(text.slice(at, at + LONGEST_ADDRESS));
  if (!found) return null;
  const address = found[0].slice(0, bareLength(found[0]));
  return { part: { type: "link", address, parts: [address] }, end: at + address.length };
}

// How much of a bare address is its own: marks at its end belong to the sentence around it, but
// for a parenthesis that the address itself opened.
function bareLength(address) {
  let surplus = address.split(")").length - address.split("(").length;
  let length = address.length;
  while (".,;:!?*_~)]".includes(address[length - 1])) {
    if (address[length - 1] === ")" && surplus-- <= 0) break;
    length -= 1;
  }
  return length;
}

function emphasisAt(text, at, depth, missing) {
  for (const [mark, type] of EMPHASIS) {
    if (!text.startsWith(mark, at)) continue;
    if (mark[0] === "_" && /\w/.test(text[at - 1] ?? "")) continue; // snake_case
    if (/\s/.test(text[at + mark.length] ?? " ")) continue; // "2 * 3"
    const end = closing(text, mark, at + mark.length, missing);
    if (end < 0) continue;
    const parts = parseInline(text.slice(at + mark.length, end), depth + 1);
    return { part: { type, parts }, end: end + mark.length };
  }
  return null;
}

// Where an emphasis ends: after a word, and for one star not in the middle of two.
function closing(text, mark, from, missing) {
  for (let end = find(text, mark, from + 1, missing), tries = 0; end >= 0 && tries < 32; tries++) {
    const doubled = mark.length === 1 && (text[end + 1] === mark || text[end - 1] === mark);
    const inWord = mark[0] === "_" && /\w/.test(text[end + mark.length] ?? "");
    if (!doubled && !inWord && !/\s/.test(text[end - 1])) return end;
    end = text.indexOf(mark, end + (doubled ? 2 : 1));
  }
  return -1;
}
