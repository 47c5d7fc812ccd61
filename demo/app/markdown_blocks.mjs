// Markdown's blocks: paragraphs, headings, lists, quotes, code and tables, as plain objects.

const DEEPEST = 12; // nested quotes and lists; deeper ones stay text

const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^`\s]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])( {1,4}|\t|$)/;
const TABLE_RULE = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

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
