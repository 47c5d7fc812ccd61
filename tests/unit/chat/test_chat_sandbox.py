"""Hostile templates: none reaches Python, none takes all time or memory."""

from __future__ import annotations

import time

import pytest
from jinja2 import UndefinedError
from jinja2.utils import missing

from webllm_py.chat import ChatTemplate
from webllm_py.chat.budget import Limits
from webllm_py.chat.sandbox import ChatEnvironment
from webllm_py.errors import TemplateError

MESSAGES = [{"role": "user", "content": "hi"}]
# Small, so that the tests are quick; what is refused here is refused with the real ones.
LIMITS = Limits(steps=200_000, seconds=20.0)
IMPATIENT = Limits(steps=200_000, seconds=0.5)
ROUNDS = "{% for i in range(100000) %}"
END = "{% endfor %}"
BIG = "{% set big = 'a' * 8000000 %}"


def run(source: str, limits: Limits = LIMITS) -> str:
    return ChatTemplate(source, limits=limits).render(MESSAGES)


def chained(step: str, count: int = 200) -> str:
    return "".join(step.replace("PREV", str(i)).replace("THIS", str(i + 1)) for i in range(count))


LARGE_VALUE = "makes a value of more than 8388608 characters"
LARGE_NUMBER = "computes a number of more than 4096 bits"
MUCH_TEXT = "builds more than 134217728 characters"
WIDE = "formats wider than 999 characters"
LONG = "takes more than"
CALLS = "nests more than 50 calls"
NAMESPACE = "keeps a Namespace inside another value"
LOOP = "keeps a LoopContext inside another value"
METHOD = "keeps a builtin_function_or_method inside another value"

# What stops each of them is part of the test: some would also fail later, at a price.
TOO_MUCH = {
    # time
    "nested loops": (ROUNDS * 3 + END * 3, LONG),
    "filtered loops": (ROUNDS + "{% for j in range(100000) if false %}{% endfor %}" + END, LONG),
    "loops without a call": (
        "{% set x = range(20000)|list %}{% for i in x %}{% for j in x if false %}" + END * 2, LONG
    ),
    "branching macro": (
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}"
        "{{ m(40) }}",
        LONG,
    ),
    "slow lines": (
        "{% set x = range(20000)|list %}{% set y = x + [] %}"
        + "{% if x == y %}{% endif %}" * 3000,
        LONG,
    ),
    "recursive loop": ("{% for i in [1, 2] recursive %}{{ loop([1, 2]) }}" + END, CALLS),
    "endless macro": ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", CALLS),
    "endless block": ("{% block b %}{{ self.b() }}{% endblock %}", CALLS),
    "stripping many characters": (BIG + "{{ big.strip('b' * 7000000 ~ 'a') }}", "searches"),
    "trimming many characters": (BIG + "{{ big|trim('b' * 7000000 ~ 'a') }}", "searches"),
    "searching from the right": (BIG + "{{ big.rfind('ab' ~ 'a' * 4000000) }}", "searches"),
    "sum of lists": (
        "{{ ('a' * 5000)|list|map('list')|sum(start=[]) }}", "sums up values that are no numbers"
    ),
    # whole numbers
    "power": ("{{ 9 ** (9 ** 9) }}", LARGE_NUMBER),
    "product": ("{% set n = namespace(x=3) %}" + ROUNDS + "{% set n.x = n.x * n.x %}" + END,
                LARGE_NUMBER),
    "number from text": ("{{ ('f' * 8000000)|int(base=16) // 3 }}", LARGE_NUMBER),
    "rounding up": ("{{ 1|round(10 ** 9, 'ceil') }}", "rounds to 1000000000 digits"),
    "rounding": ("{{ 1|round(-(10 ** 9)) }}", "rounds to -1000000000 digits"),
    # one large value
    "repeated text": ("{{ 'a' * 10 ** 12 }}", LARGE_VALUE),
    "repeated list": ("{{ 10 ** 12 * [0] }}", LARGE_VALUE),
    "doubled text": (
        "{% set n = namespace(x='a') %}" + ROUNDS + "{% set n.x = n.x ~ n.x %}" + END, LARGE_VALUE
    ),
    "doubled sum": (
        "{% set n = namespace(x='a') %}" + ROUNDS + "{% set n.x = n.x + n.x %}" + END, LARGE_VALUE
    ),
    "doubled list": (
        "{% set n = namespace(x=['a' * 9999]) %}" + ROUNDS + "{% set n.x = n.x + n.x %}" + END,
        LARGE_VALUE,
    ),
    "wide number": ("{{ '%1000000000d' % 1 }}", WIDE),
    "wide number by name": ("{{ '%(a)1000000000d' % {'a': 1} }}", WIDE),
    "wide number from a value": ("{{ '%*d' % (10 ** 9, 1) }}", WIDE),
    "wide number by filter": ("{{ '%1000000000d'|format(1) }}", WIDE),
    "wide field": ("{{ '{:1000000000}'.format(1) }}", WIDE),
    "wide field by subscript": ("{{ '{:1000000000}'['format'](1) }}", WIDE),
    "wide field from a value": ("{{ '{:{}}'.format(1, 10 ** 9) }}", WIDE),
    "wide field from a map": ("{{ '{a:{w}}'.format_map({'a': 1, 'w': 10 ** 9}) }}", WIDE),
    "many numbers": (BIG + "{{ ('%(a)s' * 1000) % {'a': big} }}", LARGE_VALUE),
    "many fields": (BIG + "{{ ('{0}' * 1000).format(big) }}", LARGE_VALUE),
    "many named fields": (BIG + "{{ ('{a}' * 1000).format(a=big) }}", LARGE_VALUE),
    "wide indent": ("{{ ('a\n' * 1000000)|indent(100000) }}", LARGE_VALUE),
    "wide json": ("{{ {'a': [1]}|tojson(indent=10 ** 9) }}", "spreads its JSON too wide"),
    "much json": ("{{ range(100000)|list|tojson(indent=900) }}", LARGE_VALUE),
    "wide date": ("{{ strftime_now('%1000000000d') }}", "asks for a date"),
    "long date": ("{{ strftime_now('%c' * 100000) }}", "asks for a date"),
    "join with a long text": (BIG + "{{ range(100000)|join(big) }}", LARGE_VALUE),
    "join method": (BIG + "{{ big.join('x' * 100000) }}", LARGE_VALUE),
    "join method of a lazy list": (BIG + "{{ big.join(range(9999)|map('string')) }}", LARGE_VALUE),
    "replace": ("{% set x = 'a' * 1000000 %}{{ x|replace('a', x) }}", LARGE_VALUE),
    "replace method": ("{% set x = 'a' * 1000000 %}{{ x.replace('a', x) }}", LARGE_VALUE),
    "replace nothing": ("{% set x = 'a' * 1000000 %}{{ x.replace('', x) }}", LARGE_VALUE),
    "many texts joined": (BIG + "{{ " + " ~ ".join(["big"] * 99) + " }}", LARGE_VALUE),
    "one text in a list": (BIG + "{{ [" + "big, " * 99 + "]|length }}", LARGE_VALUE),
    "one text in a tuple": (BIG + "{{ (" + "big, " * 99 + ")|length }}", LARGE_VALUE),
    "one text in a dict": (
        BIG + "{{ {" + "".join(f"{i}: big, " for i in range(99)) + "}|length }}", LARGE_VALUE
    ),
    "one text in arguments": (
        BIG + "{% macro m() %}{{ varargs|length }}{% endmacro %}{{ m(" + "big, " * 99 + "1) }}",
        LARGE_VALUE,
    ),
    # lists that hold one list many times: small to build, endless to print, compare or hash
    "list of itself": ("{% set x0 = [1] %}" + chained("{% set xTHIS = [xPREV, xPREV] %}"),
                       LARGE_VALUE),
    "tuple of itself": ("{% set x0 = () %}" + chained("{% set xTHIS = (xPREV, xPREV) %}"),
                        LARGE_VALUE),
    "dict of itself": ("{% set x0 = {} %}" + chained("{% set xTHIS = dict(a=xPREV, b=xPREV) %}"),
                       LARGE_VALUE),
    "view of itself": (
        "{% set x0 = {} %}" + chained("{% set xTHIS = dict(a=xPREV.items(), b=xPREV.items()) %}"),
        LARGE_VALUE,
    ),
    "arguments of itself": (
        "{% set n = namespace(x=[]) %}{% macro m() %}{% set n.x = varargs %}{% endmacro %}"
        + ROUNDS + "{{ m(n.x, n.x) }}" + END,
        LARGE_VALUE,
    ),
    "named arguments of itself": (
        "{% set n = namespace(x=[]) %}{% macro m() %}{% set n.x = kwargs %}{% endmacro %}"
        + ROUNDS + "{{ m(a=n.x, b=n.x) }}" + END,
        LARGE_VALUE,
    ),
    "namespaces of each other": (
        "{% set x0 = namespace() %}" + chained("{% set xTHIS = namespace(a=xPREV, b=xPREV) %}"),
        NAMESPACE,
    ),
    "namespaces filled later": (
        "{% set x0 = namespace() %}"
        + chained("{% set xTHIS = namespace() %}{% set xTHIS.a = [xPREV, xPREV] %}"),
        NAMESPACE,
    ),
    "namespace in itself": ("{% set n = namespace() %}{% set n.a = n %}{{ n }}", NAMESPACE),
    # long chains of values, each inside the next: freeing them overflows a browser's stack
    "chain of lists": (
        "{% set n = namespace(x=[]) %}" + ROUNDS + "{% set n.x = [n.x] %}" + END,
        "nests lists more than 100 levels deep",
    ),
    "chain of lazy lists": (
        "{% set n = namespace(x=[]) %}" + ROUNDS + "{% set n.x = [n.x]|select %}" + END,
        "nests lists more than 100 levels deep",
    ),
    "chain of loops": (
        "{% set n = namespace(x=[]) %}" + ROUNDS
        + "{% for j in [n.x] %}{% set n.x = loop %}{% endfor %}" + END,
        LOOP,
    ),
    "chain of methods": (
        "{% set n = namespace(x=[]) %}" + ROUNDS + "{% set n.x = [n.x].count %}" + END, METHOD
    ),
    "chain of methods in variables": (
        "{% set x0 = [] %}" + chained("{% set xTHIS = [xPREV].count %}"), "keeps the function count"
    ),
    "chain of macros": (
        "{% set n = namespace(x=[]) %}" + ROUNDS
        + "{% set x = n.x %}{% macro m() %}{{ x }}{% endmacro %}{% set n.x = m %}" + END,
        "keeps a Macro inside another value",
    ),
    # much in small pieces
    "many texts": (BIG + chained("{% set xTHIS = big ~ 1 %}"), MUCH_TEXT),
    "many slices": (BIG + chained("{% set xTHIS = big[:-1] %}"), MUCH_TEXT),
    "many splits": (BIG + "{% set c = 'c' ~ big %}" + chained("{% set xTHIS = c.split('c') %}"),
                    MUCH_TEXT),
    "much output in a block": (BIG + "{% set x %}" + ROUNDS + "{{ big }}" + END + "{% endset %}",
                               MUCH_TEXT),
    "much fixed text in a block": (
        "{% set x %}" + ROUNDS + "z" * 20_000 + END + "{% endset %}", MUCH_TEXT
    ),
    "lazily replaced texts": (
        "{% set x = 'a' * 1000000 %}{{ range(100000)|map('replace', '1', x)|list }}", MUCH_TEXT
    ),
    "escaping": (
        "{% set x = '<' * 1000000 %}"
        + "{% set x %}{% autoescape true %}{{ x }}{{ x }}{% endautoescape %}{% endset %}" * 20,
        LARGE_VALUE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOO_MUCH)
def test_too_much_work_is_stopped(name: str) -> None:
    source, words = TOO_MUCH[name]
    limits = IMPATIENT if words == LONG else LIMITS
    started = time.process_time()
    with pytest.raises(TemplateError, match=rf"^The chat template failed in line \d: it {words}"):
        run(source, limits)
    assert time.process_time() - started < IMPATIENT.seconds + 5


NESTED = {
    "parentheses": lambda n: "{{ " + "(" * n + "1" + ")" * n + " }}",
    "lists": lambda n: "{{ " + "[" * n + "]" * n + " }}",
    "a sum": lambda n: "{{ " + "1 + " * n + "1 }}",
    "a conjunction": lambda n: "{{ " + "1 and " * n + "1 }}",
    "negations": lambda n: "{{ " + "not " * n + "1 }}",
    "signs": lambda n: "{{ " + "- " * n + "1 }}",
    "choices": lambda n: "{{ " + "1 if 0 else " * n + "2 }}",
    "calls": lambda n: "{{ x" + "()" * n + " }}",
    "arguments": lambda n: "{{ " + "x(" * n + "1" + ")" * n + " }}",
    "attributes": lambda n: "{{ x" + ".a" * n + " }}",
    "filters": lambda n: "{{ x" + "|string" * n + " }}",
    "loops": lambda n: "{% for i in x %}" * n + END * n,
    "conditions": lambda n: "{% if x %}" * n + "{% endif %}" * n,
    "blocks": lambda n: "{% set x %}" * n + "{% endset %}" * n,
}


# Parentheses leave no trace in the parsed template; only Python's own limit holds for them.
DEPTHS = [(n, d) for n in NESTED for d in (70, 300, 20_000) if (n, d) != ("parentheses", 70)]


@pytest.mark.parametrize(("name", "depth"), DEPTHS)
def test_deep_nesting_is_refused_before_it_can_overflow_the_stack(name: str, depth: int) -> None:
    with pytest.raises(TemplateError, match=r"nest|words|characters"):
        ChatTemplate(NESTED[name](depth))


def test_what_published_templates_nest_is_fine() -> None:
    for name, nested in NESTED.items():
        if name not in ("loops", "blocks"):
            ChatTemplate(nested(20))
    assert ChatTemplate(NESTED["loops"](10)).render(MESSAGES, x="a") == ""


def test_source_that_is_too_long_or_holds_an_endless_number_is_refused() -> None:
    with pytest.raises(TemplateError, match="has 300000 characters"):
        ChatTemplate("a" * 300_000)
    with pytest.raises(TemplateError, match="cannot be used"):
        ChatTemplate("{{ " + "9" * 100_000 + " }}")
    with pytest.raises(TemplateError, match="more than 500 words between two braces"):
        ChatTemplate("{{ [" + "1, " * 300 + "] }}")
    with pytest.raises(TemplateError, match="more than 100 macros"):
        ChatTemplate("{% macro m() %}{% endmacro %}" * 101)


def test_a_missing_value_does_not_hold_what_it_is_missing_in() -> None:
    """Jinja's Undefined does, and so could form a chain."""
    value = ChatEnvironment({}).getattr({"a": 1}, "b")
    assert value._undefined_obj is missing
    with pytest.raises(UndefinedError, match="'dict object' has no attribute 'b'"):
        str(value.c)


def test_nothing_is_computed_while_compiling() -> None:
    """Jinja folds constants when it compiles, where nothing would count the work."""
    ChatTemplate("{{ 'a' * 10 ** 12 }}{{ 9 ** 9 ** 9 }}{{ ('a' * 10 ** 12)|upper }}{{ 1 / 0 }}")


# Each tries to print something of Python's; what it may print instead stands beside it.
ESCAPES = {
    "{{ ''.__class__ }}": "",
    "{{ ''['__class__'] }}": "",
    "{{ ''.__class__.__mro__ }}": None,
    "{{ ''|attr('__class__') }}": None,
    "{{ messages|map(attribute='__class__')|list }}": "[Undefined]",
    "{{ '{0.__class__}'.format(1) }}": "",
    "{{ '{a.__class__}'.format_map({'a': 1}) }}": "",
    "{{ raise_exception.__globals__ }}": "",
    "{{ strftime_now.__closure__ }}": "",
    "{{ namespace.__init__.__globals__ }}": None,
    "{{ dict.__base__.__subclasses__() }}": None,
    "{{ dict.mro() }}": None,
    "{{ (messages|map('string')).gi_frame }}": "",
    "{{ self._TemplateReference__context }}": "",
    "{{ lipsum.__globals__ }}": None,
    "{{ cycler.__init__.__globals__ }}": None,
    "{% macro m() %}{% endmacro %}{{ m._func }}": "",
    "{% for m in messages %}{{ loop._iterable }}{% endfor %}": "",
    "{{ messages.append(1) }}": None,
    "{{ messages[0].pop('role') }}": None,
    "{{ dict.update(messages[0], {'role': 'system'}) }}": None,
    "{{ dict.fromkeys('ab') }}": None,
    "{{ (1).to_bytes(1000000000, 'big') }}": None,
    "{{ 'a'.encode('idna') }}": None,
    "{{ 'a'.ljust(10 ** 9) }}": None,
    "{{ 'a'|center(10 ** 9) }}": None,
    "{% import 'os' as os %}": None,
    "{% include '/etc/passwd' %}": None,
    "{% extends '/etc/passwd' %}": None,
}


@pytest.mark.parametrize(("source", "shown"), ESCAPES.items())
def test_templates_do_not_reach_python(source: str, shown: str | None) -> None:
    if shown is None:
        with pytest.raises(TemplateError):
            run(source)
    else:
        assert run(source) == shown


def test_a_template_cannot_change_what_it_is_given() -> None:
    messages = [{"role": "user", "content": "hi"}]
    source = "{% set ns = namespace(m=messages[0]) %}{% set ns.m = {'role': 'x'} %}{{ ns.m.role }}"
    assert ChatTemplate(source).render(messages) == "x"
    assert messages == [{"role": "user", "content": "hi"}]


def test_a_stopped_rendering_leaves_the_template_usable() -> None:
    template = ChatTemplate("{{ 'a' * n }}")
    with pytest.raises(TemplateError):
        template.render(MESSAGES, n=10**9)
    assert template.render(MESSAGES, n=3) == "aaa"


def test_a_conversation_of_ten_thousand_messages_is_within_the_limits() -> None:
    """A template of ordinary size on a conversation longer than any context holds."""
    source = """\
{%- set ns = namespace(last=-1) %}
{%- for message in messages[::-1] %}
    {%- if message.role == 'user' and ns.last < 0 %}{% set ns.last = loop.index0 %}{% endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string and '</think>' in message.content %}
        {%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}
    {%- else %}
        {%- set content = message.content|trim %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
{%- endfor %}"""
    messages = [{"role": "user", "content": "word " * 100}] * 10_000
    expected = "<|im_start|>user\n" + ("word " * 100).strip() + "<|im_end|>\n"
    assert ChatTemplate(source).render(messages) == expected * 10_000
