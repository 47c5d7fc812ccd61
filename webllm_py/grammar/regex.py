"""Regular expressions: the part of ECMA-262 that describes a regular language, as byte automata."""

from __future__ import annotations

from webllm_py.errors import GrammarError
from webllm_py.grammar.characters import ANY_CHARACTER, Writer, utf8
from webllm_py.grammar.regex_syntax import Anchor, Characters, Group, Parser, Repeated, Tree
from webllm_py.grammar.regular import choice, repeat, sequence
from webllm_py.grammar.term import EPSILON, Regular
from webllm_py.grammar.until import until

__all__ = ["regex", "searching"]


def regex(pattern: str, writer: Writer = utf8) -> Regular:
    """The texts that match from beginning to end; ``^`` and ``$`` at the ends change nothing.

    Raises:
        GrammarError: the pattern is malformed, or asks for lookaround or back references.
    """
    return _read(pattern, writer, EPSILON)


def searching(pattern: str, writer: Writer = utf8) -> Regular:
    """The texts in which the pattern matches somewhere, as JSON Schema's ``pattern`` has it."""
    return _read(pattern, writer, repeat(writer(ANY_CHARACTER)))


def _read(pattern: str, writer: Writer, around: Regular) -> Regular:
    try:
        return _Translator(pattern, writer, around).whole(Parser(pattern).parsed())
    except RecursionError:
        raise GrammarError("a pattern with groups nested too deeply") from None


class _Translator:
    """From a tree to a language, anchors resolved against what may stand around a match."""

    def __init__(self, pattern: str, writer: Writer, around: Regular):
        self.pattern = pattern
        self.writer = writer
        self.around = around

    def whole(self, group: Group) -> Regular:
        return choice(*(self.placed(list(option)) for option in group.options))

    def placed(self, items: list[Tree]) -> Regular:
        """One alternative with what may stand before and behind it."""
        for end in (0, -1):
            edge = items[end] if items else None
            if isinstance(edge, Group) and _has_anchor(edge):
                rest = items[1:] if end == 0 else items[:-1]
                choices = [
                    [*option, *rest] if end == 0 else [*rest, *option] for option in edge.options
                ]
                return choice(*(self.placed(items) for items in choices))
        before = after = self.around
        while items and items[0] == Anchor("^"):
            before = EPSILON
            items = items[1:]
        while items and items[-1] == Anchor("$"):
            after = EPSILON
            items = items[:-1]
        if items and isinstance(items[0], Group) and _has_anchor(items[0]):
            raise self.misplaced()
        found = sequence(before, *(self.plain(item) for item in items))
        return found if after is EPSILON else until(found, after)

    def plain(self, tree: Tree) -> Regular:
        if isinstance(tree, Characters):
            return self.writer(tree.ranges)
        if isinstance(tree, Repeated):
            return repeat(self.plain(tree.item), tree.least, tree.most)
        if isinstance(tree, Group):
            return choice(
                *(sequence(*(self.plain(item) for item in option)) for option in tree.options)
            )
        raise self.misplaced()

    def misplaced(self) -> GrammarError:
        return GrammarError(
            f"an anchor (^ or $) in the middle of the pattern {self.pattern!r} cannot be honoured"
        )


def _has_anchor(tree: Tree) -> bool:
    if isinstance(tree, Repeated):
        return _has_anchor(tree.item)
    if isinstance(tree, Group):
        return any(_has_anchor(item) for option in tree.options for item in option)
    return isinstance(tree, Anchor)
