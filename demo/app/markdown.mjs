// Markdown for untrusted text: parsed into plain objects, then built as DOM nodes.
//
// No text ever becomes HTML source: elements come from createElement with the fixed names below,
// text goes in as text nodes, and the only attribute that takes a value from the text is a link's
// address, which must be http, https or mailto. Images become links: a picture's address would tell
// its server that the answer was read. Mathematics stays as it is written, in TeX.

import { parse } from "./markdown_blocks.mjs";
import { parseInline } from "./markdown_inline.mjs";

const TASK = /^\[([ xX])\] /; // at the head of an item

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
