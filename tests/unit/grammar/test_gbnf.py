"""GBNF grammars: the notation, recursion, and refusals that say where."""

from __future__ import annotations

import pytest

from webllm_py.errors import GrammarError
from webllm_py.grammar.gbnf import gbnf

ARITHMETIC = r"""
# sums of products
root  ::= (expr "=" ws term "\n")+
expr  ::= term ([-+*/] term)*
term  ::= ident | num | "(" ws expr ")" ws   # recursion
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \t\n]*
"""
JSON = r"""
root   ::= object
value  ::= object | array | string | "true" | "null" | [0-9]+
object ::=
  "{" ws (
    string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
ws     ::= | " " | "\n" [ \t]{0,20}
"""


@pytest.mark.parametrize(
    ("grammar", "text", "expected"),
    [
        (ARITHMETIC, "(1 +x2)*y=7\n", True),
        (ARITHMETIC, "a=b\nc=d\n", True),
        (ARITHMETIC, "(1 +x2*y=7\n", False),
        (ARITHMETIC, "a=b", False),
        (JSON, '{"a":{"b":[1,[true],"\\u00e9é"]}, "c":null}', True),
        (JSON, '{"a":[1,2}', False),
        (JSON, '{"a":"\\x"}', False),
        ('root ::= [α-ω]{2,3} "\\u00e9" . "\\x21"', "αωé😀!", True),
        ('root ::= [α-ω]{2,3} "\\u00e9" . "\\x21"', "αé😀!", False),
        ('root ::= "a" root "b" | ""', "a" * 200 + "b" * 200, True),
        ('root ::= "a" root "b" | ""', "a" * 200 + "b" * 199, False),
        ('root ::= ("x" item){3}\nitem ::= "(" item? ")"', "x()x(())x()", True),
        ('root ::= ("x" item){3}\nitem ::= "(" item? ")"', "x()x(())", False),
        ('root ::= [^\\]a-]+ [\\]-]', "bc-", True),
        ('root ::= "[" [#"] # [a comment"\n "]"', '["]', True),
    ],
)  # fmt: skip
def test_texts_in_and_out(grammar: str, text: str, expected: bool) -> None:
    assert gbnf(grammar).matches(text.encode()) is expected


def test_a_right_recursive_rule_keeps_a_flat_stack() -> None:
    grammar = gbnf('root ::= pair root | "."\npair ::= "(" pair? ")"')
    state = grammar.start()
    depths = set()
    for byte in b"()" * 50:
        following = state.step(byte)
        assert following is not None
        state = following
        depths.add(len(state.configurations))
    assert max(depths) <= 3
    assert state is grammar.start().step(ord("(")).step(ord(")"))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        ('a ::= "x"', "no rule 'root'"),
        ("root ::= missing", "rule 'missing' is not defined in line 1"),
        ('root ::= "a"\n\nroot ::= "b"', "defined twice in line 3"),
        ('root ::= "a" ("b"', r"without its '\)'"),
        ('root ::= "a', "not closed"),
        ("root ::= [^]a-]+", "rule 'a-' is not defined"),
        ('root ::= "a"{3,2}', "counts out of order"),
        pytest.param(f'root ::= "a"{{{"9" * 5000}}}', "too many digits", id="5000 digits"),
        ("root ::= [z-a]", "range out of order"),
        ('root ::= "\\uZZZZ"', "malformed escape"),
        ('root ::= root "a" | "b"', "'root' is left-recursive"),
        ('root ::= e? tail\ntail ::= root "x"\ne ::= "e"', "left-recursive"),
        ('root ::= "a" )', r"unexpected '\)'"),
        ("root = 3", "expected 'name ::='"),
    ],
)
def test_a_wrong_grammar_is_refused_with_the_reason(grammar: str, reason: str) -> None:
    with pytest.raises(GrammarError, match=reason):
        gbnf(grammar)


def test_a_rule_that_never_ends_has_no_text() -> None:
    state = gbnf('root ::= "(" root').start()
    assert state.first() == 1 << ord("(")
    assert not state.complete
