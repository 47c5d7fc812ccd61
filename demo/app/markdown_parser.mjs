// Markdown to plain objects, by markdown-it: first the blocks, as a tree, then the text within those
// that are wanted.

import MarkdownIt from "../markdown-it/markdown-it.esm.min.mjs";
import { mathematics } from "./markdown_math.mjs";

const ADDRESS = /^(?:https?:\/\/|mailto:)/i;
const TASK = /^\[([ xX])\] /; // at the head of an item
const BREAK = /^<br *\/?>/i; // what models write for a new line in a table
const CJK = /[\p{sc=Han}\p{sc=Hangul}\p{sc=Hiragana}\p{sc=Katakana}\u3000-\u303f\uff00-\uffef]/u;

const parser = new MarkdownIt({ linkify: true }).use(mathematics).use(breakTags).use(emphasisInCjk);
parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false }); // only what begins with its scheme
parser.disable("reference"); // "[1]: https://..." is shown: it may be all there is of a source
parser.validateLink = (address) => ADDRESS.test(address);

const NOTHING = { settled: "", kept: [] };

/**
 * Text to {blocks, ...}. `before`: what came of the text when it was shorter; the blocks that no more
 * text can change are taken from there.
 *
 * A block has a `type`, mostly the name of its element; `source`, its lines; and what it holds:
 * `blocks` or `text`. `head` is what decides about all of it, when more lines follow.
 */
export function parse(text, before = NOTHING) {
  const normal = text.replace(/\r\n?/g, "\n").replaceAll("\0", "\ufffd");
  const { settled, kept } = normal.startsWith(before.settled) ? before : NOTHING;
  const rest = normal.slice(settled.length);
  const lines = rest.split("\n");
  const tokens = [];
  parser.block.parse(rest, parser, {}, tokens);
  const blocks = [...kept, ...tree(tokens, lines)];
  const starts = tokens.filter(({ level, nesting }) => level === 0 && nesting >= 0).map(({ map }) => map[0]);
  // What begins after an empty line, with a whole line, will always begin there.
  const last = starts.findLastIndex((at) => at > 0 && at < lines.length - 1 && !lines[at - 1].trim());
  if (last < 0) return { blocks, settled, kept };
  const more = lines.slice(0, starts[last]).map((line) => `${line}\n`);
  return { blocks, settled: settled + more.join(""), kept: blocks.slice(0, kept.length + last) };
}

/** The text of a block to markdown-it's tokens. */
export function parseInline(text) {
  return parser.parseInline(text, {})[0].children;
}

function tree(tokens, lines) {
  const open = [{ blocks: [] }];
  for (const token of tokens) {
    const within = open.at(-1);
    if (token.type === "inline") {
      within.text = token.content;
      within.source ??= token.content; // a cell's
    } else if (token.nesting < 0) {
      takeTask(open.pop());
    } else {
      const source = token.map && lines.slice(...token.map).join("\n");
      within.blocks.push({ type: token.tag, source, ...details(token, lines) });
      if (token.nesting > 0) open.push(within.blocks.at(-1));
    }
  }
  return open[0].blocks;
}

function details(token, lines) {
  const { type, tag, content, info } = token;
  switch (type) {
    case "fence":
    case "code_block":
      return { head: info.trim().split(/\s/)[0], text: content.replace(/\n$/, "") };
    case "math":
      return { type, text: content, ...token.meta };
    case "heading_open":
      return { type: "heading", level: Number(tag[1]) };
    case "ordered_list_open":
      return { head: Number(token.attrGet("start") ?? 1), blocks: [] };
    case "table_open":
      return { head: lines[token.map[0] + 1], blocks: [] };
    case "th_open":
    case "td_open":
      return { align: token.attrGet("style")?.split(":")[1] ?? "start" };
    default:
      return type === "hr" || type === "paragraph_open" ? { text: "" } : { blocks: [] };
  }
}

// An item that is to be done, or is.
function takeTask(block) {
  const first = block.blocks?.[0];
  if (block.type !== "li" || first?.type !== "p") return;
  first.text = first.text.replace(TASK, (_, mark) => {
    block.head = "task";
    return mark === " " ? "☐ " : "☑ ";
  });
}

function breakTags({ inline }) {
  inline.ruler.before("autolink", "break_tag", (state, silent) => {
    const [tag] = BREAK.exec(state.src.slice(state.pos, state.pos + 8)) ?? [];
    if (!tag) return false;
    if (!silent) state.push("hardbreak", "br", 0);
    state.pos += tag.length;
    return true;
  });
}

// CommonMark has no emphasis in **「…」**は, as there is no space beside the marks: there never is.
function emphasisInCjk({ inline }) {
  inline.State = class extends inline.State {
    scanDelims(start, canSplitWord) {
      const found = super.scanDelims(start, canSplitWord);
      const end = start + found.length;
      const [before, after] = [this.src.slice(0, start).slice(-1), this.src.slice(end, end + 1)];
      if (!canSplitWord || !(CJK.test(before) || CJK.test(after))) return found;
      return { ...found, can_open: /\S/.test(after), can_close: /\S/.test(before) };
    }
  };
}
