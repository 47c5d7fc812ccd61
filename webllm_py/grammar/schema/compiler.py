"""JSON Schema (2020-12, and what drafts 4 to 7 write otherwise) to a grammar of JSON texts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from webllm_py.errors import GrammarError, UnsupportedSchemaError
from webllm_py.grammar.boolean import both
from webllm_py.grammar.pushdown import Choice, Grammar, Node, Reference, Terminal
from webllm_py.grammar.regex import regex
from webllm_py.grammar.regular import byte_set, choice, sequence
from webllm_py.grammar.schema import numbers, strings
from webllm_py.grammar.schema.documents import Document
from webllm_py.grammar.schema.facts import KINDS, Claim, Fact, Scalar
from webllm_py.grammar.schema.keywords import Keywords
from webllm_py.grammar.schema.shapes import ArrayShape, ObjectShape
from webllm_py.grammar.schema.structures import ArrayNode, ObjectNode, Punctuation
from webllm_py.grammar.term import EMPTY, Regular
from webllm_py.grammar.words import literals

__all__ = ["FLEXIBLE_SPACE", "json_grammar", "schema_grammar"]

FLEXIBLE_SPACE = r" ?|\n[ \t]{0,40}"
"""Nothing, one space, or a line end with up to 40 spaces or tabs: the compact, the usual and the
indented ways of writing JSON, and no endless white space."""
ALTERNATIVES_LIMIT = 512
Goal = frozenset[Claim]


def json_grammar() -> Grammar:
    """Any JSON object, as OpenAI's ``json_object`` promises."""
    return schema_grammar({"type": "object"})


def schema_grammar(schema: Any, *, space: str = FLEXIBLE_SPACE) -> Grammar:
    """The JSON texts that a schema accepts, each value in one way of writing it; properties may
    come in any order.

    Args:
        space: regular expression of the white space between marks; ``""`` writes compact JSON.

    Raises:
        UnsupportedSchemaError: a keyword cannot be honoured; names it and its path.
        GrammarError: the schema is malformed, or no value can satisfy it.
    """
    try:
        return _Compiler(Document(schema), space).grammar()
    except RecursionError:
        raise GrammarError("a schema nested too deeply") from None


class _Compiler:
    def __init__(self, document: Document, space: str):
        self.keywords = Keywords(document, self._disjoint)
        self.marks = Punctuation(regex(space))
        self.rules: dict[Goal, Reference] = {}
        self.pending: list[Goal] = []
        self._checked: dict[tuple[Goal, str], bool] = {}

    def grammar(self) -> Grammar:
        root = self.rule(frozenset([("#", "", True)]))
        built: dict[Reference, list[Node]] = {}
        while self.pending:
            goal = self.pending.pop()
            try:
                built[self.rules[goal]] = self._nodes(goal)
            except UnsupportedSchemaError:
                raise
            except GrammarError as error:
                raise UnsupportedSchemaError(
                    str(error), keyword="pattern", path=min(key for key, *_ in goal)
                ) from error
        usable = _finishable(built)
        if root not in usable:
            raise GrammarError("no value satisfies this schema")
        return Grammar(root)

    def rule(self, goal: Goal) -> Reference:
        """The rule of the values that fulfil all of these claims."""
        found = self.rules.get(goal)
        if found is None:
            found = self.rules[goal] = Reference(" and ".join(sorted(key for key, *_ in goal)))
            self.pending.append(goal)
        return found

    def _nodes(self, goal: Goal) -> list[Node]:
        scalars: list[Regular] = []
        nodes: list[Node] = []
        for kind in KINDS:
            for facts in self.possibilities(goal, kind):
                if kind == "array":
                    nodes.append(ArrayShape(facts).node(self.marks, self.rule))
                elif kind == "object":
                    shape = ObjectShape(facts, self.names)
                    nodes.append(shape.node(self.marks, self.rule))
                else:
                    scalars.append(_scalar(facts, kind))
        quoted = [term for term in scalars if term is not EMPTY and term.alive()]
        return [*(Terminal(term) for term in quoted), *nodes]

    def possibilities(self, goal: Goal, kind: str) -> list[list[Fact]]:
        """Every list of facts that makes all claims true for a value of this kind."""
        found: list[list[Fact]] = []
        pending: list[tuple[tuple[Claim, ...], frozenset[Claim], tuple[Fact, ...]]] = [
            (tuple(sorted(goal, reverse=True)), frozenset(), ())
        ]
        while pending:
            claims, done, facts = pending.pop()
            if not claims:
                found.append(list(facts))
                if len(found) > ALTERNATIVES_LIMIT:
                    raise self._too_many(goal)
                continue
            claim, rest = claims[-1], claims[:-1]
            if claim in done:
                pending.append((rest, done, facts))
                continue
            key, keyword, holds = claim
            if (key, keyword, not holds) in done:
                continue
            done = done | {claim}
            for more, new in reversed(self.keywords.alternatives(claim, kind)):
                pending.append((rest + more[::-1], done, facts + new))
        return found

    def _too_many(self, goal: Goal) -> UnsupportedSchemaError:
        key = min(key for key, *_ in goal)
        return UnsupportedSchemaError(
            f"its combinations give more than {ALTERNATIVES_LIMIT} cases",
            keyword="anyOf/oneOf/not",
            path=key,
        )

    def names(self, claim: Claim) -> Regular:
        """The texts that fulfil a claim, as a language of what stands between quotes."""
        return choice(*(_text(facts) for facts in self.possibilities(frozenset([claim]), "string")))

    def _disjoint(self, one: Claim, other: Claim, kind: str) -> bool:
        return self._impossible(frozenset([one, other]), kind, 3)

    def _impossible(self, goal: Goal, kind: str, depth: int) -> bool:
        """Whether surely no value of this kind fulfils the claims, looking so many levels down."""
        known = self._checked.get((goal, kind))
        if known is not None:
            return known
        self._checked[goal, kind] = False  # while it is being looked at: a value inside itself
        answer = all(
            self._contradicts(facts, kind, depth) for facts in self.possibilities(goal, kind)
        )
        if answer or depth == 3:
            self._checked[goal, kind] = answer
        else:
            del self._checked[goal, kind]
        return answer

    def _contradicts(self, facts: list[Fact], kind: str, depth: int) -> bool:
        if kind == "array":
            inner, impossible = ArrayShape(facts).needed()
        elif kind == "object":
            inner, impossible = ObjectShape(facts, self.names).needed()
        else:
            return not _scalar(facts, kind).alive()
        if impossible or depth == 0:
            return impossible
        return any(all(self._impossible(goal, kind, depth - 1) for kind in KINDS) for goal in inner)


def _scalar(facts: Iterable[Fact], kind: str) -> Regular:
    if kind == "string":
        quote = byte_set(1 << ord('"'))
        return sequence(quote, _text(facts), quote)
    terms = [fact.language for fact in facts if isinstance(fact, Scalar)]
    if kind == "number":
        return both(numbers.PLAIN_NUMBER, *terms) if terms else numbers.NUMBER
    return both(literals([b"null"] if kind == "null" else [b"true", b"false"]), *terms)


def _text(facts: Iterable[Fact]) -> Regular:
    scalars = [fact for fact in facts if isinstance(fact, Scalar)]
    if not scalars:
        return strings.FREE_TEXT
    terms = [fact.language for fact in scalars]
    if all(fact.negative for fact in scalars):
        terms.append(strings.ANY_TEXT)
    return both(*terms)


def _finishable(built: dict[Reference, list[Node]]) -> set[Reference]:
    """The rules that some finite text fulfils; their targets are set, without dead ends."""
    usable: set[Reference] = set()
    growing = True
    while growing:
        growing = False
        for rule, nodes in built.items():
            if rule not in usable and any(_pruned(node, usable) for node in nodes):
                usable.add(rule)
                growing = True
    for rule, nodes in built.items():
        kept = [pruned for node in nodes if (pruned := _pruned(node, usable))]
        rule.target = kept[0] if len(kept) == 1 else Choice(kept)
    return usable


def _pruned(node: Node, usable: set[Reference]) -> Node | None:
    return node.pruned(usable) if isinstance(node, ArrayNode | ObjectNode) else node
