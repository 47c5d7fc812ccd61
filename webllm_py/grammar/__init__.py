"""Grammars: regular expressions, GBNF and JSON Schema -> byte automaton -> token masks.

Pure Python, without a GPU and without a tokenizer: all it knows of a vocabulary is the bytes of
each token.

::

    masks = TokenMasks([tokenizer.token_bytes(i) for i in range(size)], ends=[end_of_text])
    matcher = Matcher(schema_grammar(schema), masks)
    matcher.mask()              # bitmap of the tokens that may come next
    matcher.accept(token)       # False where the grammar refuses it
    matcher.forced()            # bytes that must come next, without asking the model
    matcher.rollback(1)
"""

from webllm_py.grammar.gbnf import gbnf
from webllm_py.grammar.masks import TokenMasks
from webllm_py.grammar.matcher import Matcher
from webllm_py.grammar.pushdown import Grammar, Terminal
from webllm_py.grammar.regex import regex
from webllm_py.grammar.schema.compiler import json_grammar, schema_grammar

__all__ = [
    "Grammar",
    "Matcher",
    "TokenMasks",
    "gbnf",
    "json_grammar",
    "regex_grammar",
    "schema_grammar",
]


def regex_grammar(pattern: str) -> Grammar:
    """The texts that a regular expression matches from beginning to end.

    Raises:
        GrammarError: the pattern is malformed, or asks for lookaround or back references.
    """
    return Grammar(Terminal(regex(pattern)))
