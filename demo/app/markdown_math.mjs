// TeX in Markdown, for markdown-it: \(...\) and $...$ in a line, \[...\] and $$...$$ displayed.
//
// A token "math" has the TeX as its content, and {isDisplayed, isWhole}: the last one may still grow.

const IN_LINE = [["\\(", "\\)"], ["\\[", "\\]"], ["$$", "$$"], ["$", "$"]];
const DISPLAYED = [["\\[", "\\]"], ["$$", "$$"]];
const MOST_LINES = 60;
const SENTENCE_END = /^[.,;:]?$/;
const MAY_BE_TEX = /^\s*$|[\\^_={]/;

/** A plugin of markdown-it. */
export function mathematics({ inline, block }) {
  inline.ruler.before("escape", "math", inLine);
  block.ruler.before("fence", "math", displayed, { alt: ["paragraph", "reference", "blockquote", "list"] });
}

function inLine(state, silent) {
  const { src, pos, posMax } = state;
  const [open, close] = IN_LINE.find(([mark]) => src.startsWith(mark, pos)) ?? [];
  if (!open) return false;
  const from = pos + open.length;
  const end = open === "$" ? dollarEnd(src, from, posMax) : nextOf(state, close, from);
  if (end + close.length > posMax || !isTex(src.slice(from, end), open)) return false;
  if (!silent) push(state, src.slice(from, end), open !== "$" && open !== "\\(", true);
  state.pos = end + close.length;
  return true;
}

// Each part of a text is searched once only.
function nextOf(state, mark, from) {
  const found = (state.found ??= {});
  if (!(found[mark] >= from)) found[mark] = (state.src.indexOf(mark, from) + 1 || Infinity) - 1;
  return found[mark];
}

// Prices are no mathematics: "$5 and $6", "$7-$8", "US$9", "5$"; but "the $n$th" is.
function dollarEnd(src, from, to) {
  const [tex] = /^(?:[^$\n\\]|\\.)+(?=\$)/.exec(src.slice(from, to)) ?? [""];
  const end = from + tex.length;
  const isPrice = /[A-Za-z\d$]/.test(src[from - 2] ?? "") || /^\s|\s$/.test(tex) ||
    /^(?!(?:th|st|nd|rd|s)\b)[A-Za-z\d$]/.test(src.slice(end + 1, end + 4));
  return isPrice ? Infinity : end;
}

// "\[1\]" and "\[sic\]" are brackets, escaped.
function isTex(text, open) {
  return text.trim() !== "" && (open !== "\\[" || /[\\=^_+{<>]|^\s/.test(text));
}

function push(state, tex, isDisplayed, isWhole) {
  const token = state.push("math", "math", 0);
  token.content = tex.trim();
  token.meta = { isDisplayed, isWhole };
  return token;
}

// Lines of their own; as in TeX, none of them is empty. What the text ends in may yet be closed.
function displayed(state, first, last, silent) {
  const found = linesAt(state, first, last);
  if (!found) return false;
  if (silent) return true;
  push(state, found.tex, true, found.isWhole).map = [first, found.end];
  state.line = found.end;
  return true;
}

function linesAt(state, first, last) {
  const lineAt = (at) => state.src.slice(state.bMarks[at] + state.tShift[at], state.eMarks[at]);
  const [open, close] = DISPLAYED.find(([mark]) => lineAt(first).startsWith(mark)) ?? [];
  if (!open || state.sCount[first] - state.blkIndent >= 4) return null;
  let tex = lineAt(first).slice(open.length);
  let end = first + 1;
  while (!tex.includes(close) && goesOn(state, first, end, last)) tex += `\n${lineAt(end++)}`;
  const at = tex.indexOf(close);
  if (at < 0) {
    const isLast = state.level === 0 && end === last;
    return isLast && MAY_BE_TEX.test(tex) ? { tex, end, isWhole: false } : null;
  }
  const after = tex.slice(at + close.length).trim();
  tex = tex.slice(0, at);
  if (!isTex(tex, open) || !SENTENCE_END.test(after)) return null;
  return { tex: tex.trimEnd() + after, end, isWhole: true };
}

function goesOn(state, first, at, last) {
  const isWithin = at < last && at - first < MOST_LINES;
  return isWithin && !state.isEmpty(at) && state.sCount[at] >= state.blkIndent;
}
