// Markdown for untrusted text: read by markdown-it, then built as DOM nodes.
//
// No text ever becomes HTML source: elements come from createElement with fixed names, text goes in
// as text nodes, and the only addresses are those of links, which must be http, https or mailto.
// Images become links: a picture's address would tell its server that the answer was read.

import { formula } from "./formulas.mjs";
import { parse, parseInline } from "./markdown_parser.mjs";

const SHORT = 12; // characters of a table's cell that stay on one line

/** Show `text` inside `element`; blocks that have not changed since the last call stay as they are. */
export function render(element, text) {
  element.parsed = parse(text, element.parsed);
  showBlocks(element, element.parsed.blocks);
  for (const block of element.children) {
    if (!block.dir && block.shows.type !== "code") block.dir = "auto";
  }
}

// Of a text that grows only the last block changes, and of a list or a table only the last part.
function showBlocks(element, blocks) {
  const shown = element.children;
  let same = 0;
  while (same < blocks.length && isSame(shown[same], blocks[same])) same += 1;
  if (same < Math.min(blocks.length, shown.length) && grow(shown[same], blocks[same])) same += 1;
  while (shown.length > same) element.lastChild.remove();
  element.append(...blocks.slice(same).map(blockNode));
}

function isSame(element, { type, source }) {
  return element?.shows.type === type && element.shows.source === source;
}

/** Have an element show what its block has become; false where it takes a new one. */
function grow(element, block) {
  const { type, head } = element.shows;
  if (type !== block.type || head !== block.head || !(block.blocks || type === "code")) return false;
  fill(element, block);
  return true;
}

function blockNode(block) {
  const element = emptyNode(block);
  fill(element, block);
  return element;
}

function emptyNode(block) {
  switch (block.type) {
    case "code":
      return codeNode(block);
    case "math":
      return formula(block.text, { isDisplayed: true, isWhole: block.isWhole });
    case "heading":
      return node("h" + Math.min(block.level + 2, 6), inlineNodes(block.text)); // h1, h2: the page's
    case "table":
      return tableNode();
    case "th":
    case "td":
      return cellNode(block);
    case "li":
      return itemNode(block);
    default:
      return node(block.type, inlineNodes(block.text));
  }
}

// `shows` is the block that an element shows.
function fill(element, block) {
  const { type, blocks } = block;
  element.shows = block;
  if (blocks) showBlocks(type === "table" ? element.firstChild : element, blocks);
  if (type === "code") fillCode(element, block);
  if (type === "ol") number(element, block);
}

function number(list, { head: start, blocks }) {
  if (start !== 1) list.start = start;
  const digits = String(start + blocks.length - 1).length;
  if (digits > 2) list.style.paddingInlineStart = `${digits + 1.5}ch`; // two fit into the usual
}

function itemNode({ head }) {
  const item = node("li");
  if (head) item.className = head;
  return item;
}

function codeNode({ head: language }) {
  const copy = node("button", ["Copy"]);
  copy.type = "button";
  copy.className = "copy-code";
  const caption = node("figcaption", [node("span", [language || "text"]), copy]);
  const figure = node("figure", [caption, node("pre", [node("code", [""])])]);
  figure.className = "code";
  return figure;
}

function fillCode(figure, { text }) {
  const shown = figure.querySelector("code").firstChild;
  if (text.startsWith(shown.data)) shown.appendData(text.slice(shown.length));
  else shown.data = text;
}

function cellNode({ type, align, text }) {
  const cell = node(type, inlineNodes(text));
  cell.style.textAlign = align;
  if (cell.textContent.length <= SHORT) cell.className = "short";
  return cell;
}

function tableNode() {
  const scroller = node("div", [node("table")]);
  scroller.className = "table";
  return scroller;
}

const INLINE_NAMES = { strong_open: "strong", em_open: "em", s_open: "del" };

function inlineNodes(text) {
  if (!text) return [];
  const open = [document.createDocumentFragment()];
  for (const token of parseInline(text)) {
    const within = open.at(-1);
    if (token.nesting < 0) {
      open.pop();
    } else if (token.nesting > 0) {
      const address = token.attrGet("href");
      within.append(address ? linkNode(address) : node(INLINE_NAMES[token.type]));
      open.push(within.lastChild);
    } else {
      within.append(leafNode(token, open.some(({ localName }) => localName === "a")));
    }
  }
  return [...open[0].childNodes];
}

function leafNode({ type, content, ...token }, isInLink) {
  switch (type) {
    case "softbreak":
    case "hardbreak":
      return node("br");
    case "code_inline":
      return node("code", [content]);
    case "math":
      return formula(content, token.meta);
    case "image":
      return isInLink ? content : linkNode(token.attrs[0][1], [content]);
    default:
      return content;
  }
}

function linkNode(address, children) {
  const link = node("a", children);
  link.href = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
  return link;
}

function node(name, children = []) {
  const element = document.createElement(name);
  element.append(...children);
  return element;
}
