// Markdown for untrusted text: parsed into plain objects, then built as DOM nodes.
//
// No text ever becomes HTML source: elements come from createElement with the fixed names below,
// text goes in as text nodes, and the only attribute that takes a value from the text is a link's
// address, which must be http, https or mailto. Images become links: a picture's address would tell
// its server that the answer was read. Mathematics stays as it is written, in TeX.

const DEEPEST = 12; // nested quotes, lists and emphasis; deeper ones stay text

const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^`\s]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])( {1,4}|\t|$)/;
const TASK = /^\[([ xX])\] /; // at the head of an item
const TABLE_RULE = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const LONGEST_ADDRESS = 2048;
const ADDRESS = /^(?:https?:\/\/|mailto:)[^\s<>]+$/i;

/** Text to blocks: [{type, source, ...}]. `source` is the text of the block. */
export function parse(text, depth = 0) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (lines[at].trim() === "") {
      at += 1;
      continue;
    }
    const [block, next] = parseBlock(lines, at, depth);
    blocks.push({ ...block, source: lines.slice(at, next).join("\n") });
    at = next;
  }
  return blocks;
}

function parseBlock(lines, at, depth) {
  const line = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return parseCode(lines, at, fence);
  const heading = HEADING.exec(line);
  if (heading) return [{ type: "heading", level: heading[1].length, text: heading[2] ?? "" }, at + 1];
  if (RULE.test(line)) return [{ type: "rule" }, at + 1];
  if (depth < DEEPEST && QUOTE.test(line)) return parseQuote(lines, at, depth);
  if (depth < DEEPEST && ITEM.test(line)) return parseList(lines, at, depth);
  if (isTable(lines, at)) return parseTable(lines, at);
  return parseParagraph(lines, at, depth);
}

function parseCode(lines, at, fence) {
  const mark = fence[1];
  let end = at + 1;
  const closes = (line) => {
    const trimmed = line.trim();
    return trimmed.length >= mark.length && trimmed === mark[0].repeat(trimmed.length);
  };
  while (end < lines.length && !closes(lines[end])) end += 1;
  const block = { type: "code", language: fence[2], text: lines.slice(at + 1, end).join("\n") };
  return [block, Math.min(end + 1, lines.length)];
}

function parseQuote(lines, at, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const inner = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  return [{ type: "quote", blocks: parse(inner.join("\n"), depth + 1) }, end];
}

function parseList(lines, at, depth) {
  const first = ITEM.exec(lines[at]);
  const ordered = /\d/.test(first[2]);
  const items = [];
  let end = at;
  while (end < lines.length) {
    const mark = ITEM.exec(lines[end]);
    if (!mark || RULE.test(lines[end]) || /\d/.test(mark[2]) !== ordered) break;
    const indent = mark[0].length;
    const inner = [lines[end].slice(indent)];
    end += 1;
    while (end < lines.length && continuesItem(lines, end, indent)) {
      inner.push(lines[end].slice(Math.min(indent, leading(lines[end]))));
      end += 1;
    }
    items.push(parse(inner.join("\n"), depth + 1));
    while (end < lines.length && lines[end].trim() === "" && ITEM.test(lines[end + 1] ?? "")) end += 1;
  }
  const start = ordered ? Number.parseInt(first[2], 10) : null;
  return [{ type: "list", ordered, start, items }, end];
}

function continuesItem(lines, at, indent) {
  const line = lines[at];
  if (line.trim() === "") {
    const next = lines[at + 1] ?? "";
    return next.trim() !== "" && leading(next) >= Math.min(indent, 2);
  }
  if (leading(line) >= Math.min(indent, 2)) return true;
  const wrapped = !startsBlock(lines, at) && !ITEM.test(line);
  return wrapped && lines[at - 1].trim() !== "";
}

function isTable(lines, at) {
  return lines[at].includes("|") && at + 1 < lines.length && TABLE_RULE.test(lines[at + 1]) &&
    cells(lines[at]).length === cells(lines[at + 1]).length;
}

function parseTable(lines, at) {
  const head = cells(lines[at]);
  const align = cells(lines[at + 1]).map((cell) => {
    const [left, right] = [cell.startsWith(":"), cell.endsWith(":")];
    return left && right ? "center" : right ? "right" : left ? "left" : "start";
  });
  const rows = [];
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) {
    const row = cells(lines[end]);
    rows.push(head.map((_, column) => row[column] ?? ""));
    end += 1;
  }
  return [{ type: "table", head, align, rows }, end];
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/\\\|/g, "|"));
}

function parseParagraph(lines, at, depth) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() !== "" && !startsBlock(lines, end)) end += 1;
  const text = lines.slice(at, end).map((line) => line.trimStart()).join("\n");
  return [{ type: "paragraph", text }, end];
}

function startsBlock(lines, at) {
  const line = lines[at];
  const item = ITEM.exec(line);
  const list = item && /^(?:[-*+]|1[.)])$/.test(item[2]); // "in\n1998. It" is no list
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) ||
    list || isTable(lines, at);
}

function leading(line) {
  return line.length - line.trimStart().length;
}

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

/** Show `text` inside `element`; blocks that have not changed since the last call stay as they are. */
export function render(element, text) {
  const blocks = parse(text);
  const shown = element.children;
  let same = 0;
  while (same < blocks.length && same < shown.length && shown[same].source === blocks[same].source) {
    same += 1;
  }
  while (shown.length > same) shown[same].remove();
  for (const block of blocks.slice(same)) {
    const node = blockNode(block);
    node.source = block.source;
    if (block.type !== "code") node.dir = "auto"; // code runs from left to right in any language
    element.append(node);
  }
}

function blockNode(block) {
  switch (block.type) {
    case "heading":
      return node("h" + Math.min(block.level + 2, 6), inlineNodes(block.text)); // h1, h2: the page's
    case "rule":
      return node("hr");
    case "code":
      return codeNode(block);
    case "quote":
      return node("blockquote", block.blocks.map(blockNode));
    case "list":
      return listNode(block);
    case "table":
      return tableNode(block);
    default:
      return node("p", inlineNodes(block.text));
  }
}

function codeNode({ language, text }) {
  const figure = node("figure", [node("pre", [node("code", [text])])]);
  const copy = node("button", ["Copy"]);
  copy.type = "button";
  copy.className = "copy-code";
  const head = node("figcaption", [node("span", [language || "text"]), copy]);
  figure.prepend(head);
  figure.className = "code";
  return figure;
}

function listNode({ ordered, start, items }) {
  const list = node(ordered ? "ol" : "ul", items.map(itemNode));
  if (ordered && start !== 1) list.start = start;
  const digits = ordered ? String(start + items.length - 1).length : 0;
  if (digits > 2) list.style.paddingInlineStart = `${digits + 1.5}ch`; // two fit into the usual
  return list;
}

// A one-paragraph item is its text alone, so that lists stay tight.
function itemNode([first, ...rest]) {
  if (first?.type !== "paragraph") return node("li", first ? [first, ...rest].map(blockNode) : []);
  const [mark, done] = TASK.exec(first.text) ?? [""];
  const text = first.text.slice(mark.length);
  const item = node("li", [...inlineNodes(text), ...rest.map(blockNode)]);
  if (!mark) return item;
  item.prepend(done === " " ? "☐ " : "☑ ");
  item.className = "task";
  return item;
}

function tableNode({ head, align, rows }) {
  const row = (name, texts) => node("tr", texts.map((text, column) => {
    const cell = node(name, inlineNodes(text));
    cell.style.textAlign = align[column];
    return cell;
  }));
  const table = node("table", [
    node("thead", [row("th", head)]),
    node("tbody", rows.map((cellsOfRow) => row("td", cellsOfRow))),
  ]);
  const scroller = node("div", [table]);
  scroller.className = "table";
  return scroller;
}

const INLINE_NAMES = { strong: "strong", emphasis: "em", deleted: "del" };

function inlineNodes(text) {
  return parseInline(text).map(inlineNode);
}

function inlineNode(part) {
  if (typeof part === "string") return document.createTextNode(part);
  if (part.type === "break") return node("br");
  if (part.type === "code") return node("code", [part.text]);
  if (part.type === "both") return node("strong", [node("em", part.parts.map(inlineNode))]);
  if (part.type !== "link") return node(INLINE_NAMES[part.type], part.parts.map(inlineNode));
  const link = node("a", part.parts.map(inlineNode));
  link.href = part.address;
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
  return link;
}

function node(name, children = []) {
  const element = document.createElement(name);
  element.append(...children);
  return element;
}
