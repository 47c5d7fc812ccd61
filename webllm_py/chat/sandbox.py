"""The Jinja environment that runs chat templates: transformers' dialect, sandboxed and metered.

Jinja's ImmutableSandboxedEnvironment keeps templates from Python's internals and from changing
what they are given; here, in addition, only listed methods of strings, lists and dicts can be
reached, templates cannot load others, and all work counts against a ``Budget``:

- the parsed template is rewritten before it is compiled: loops, comparisons, slices, literals,
  assignments and ``~`` measure their values (a loop's rounds are as many as its list has items);
- calls, operators, filters and tests go through this environment anyway and are counted there;
- what is printed passes ``finalize``, fixed text included;
- nothing is evaluated while compiling, where no budget runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Template, nodes, pass_context
from jinja2.ext import Extension, LoopControlExtension
from jinja2.meta import find_undeclared_variables
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from webllm_py.chat.budget import budget
from webllm_py.chat.filters import (
    FILTERS,
    METHODS,
    TESTS,
    binary,
    charge,
    check_method,
    concat,
    keep,
    made,
    text_method,
)

__all__ = ["ChatEnvironment"]

# Names of our own filters in rewritten templates; no template can write one with a space.
_CHARGE, _CONCAT, _KEEP, _MADE = " charge", " concat", " keep", " made"


class ChatEnvironment(ImmutableSandboxedEnvironment):
    """Compiles chat templates. Rendering one needs a budget: ``with spending(limits)``."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "**", "%"})

    def __init__(self, functions: Mapping[str, Any]) -> None:
        """
        Args:
            functions: what templates can call besides ``range``, ``dict`` and ``namespace``.
        """
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,
            finalize=_count_output,
            extensions=[GenerationTag, LoopControlExtension],
        )
        self.filters = {**FILTERS, _CHARGE: charge, _CONCAT: concat, _KEEP: keep, _MADE: made}
        self.tests = dict(TESTS)
        self.globals = {"range": safe_range, "dict": dict, "namespace": Namespace, **functions}

    def compile_metered(self, source: str) -> Template:
        """The template of that source, its work counted."""
        tree = _Meter().visit(self.parse(source))
        tree.set_environment(self)
        return self.from_string(tree)

    def variables(self, source: str) -> frozenset[str]:
        """The names that the template takes from outside, if it looks at them at all."""
        return frozenset(find_undeclared_variables(self.parse(source)))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if not super().is_safe_attribute(obj, attr, value):
            return False
        for kind, methods in METHODS.items():
            if isinstance(obj, kind):
                return attr in methods
        return True

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        return binary(operator, left, right)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        budget().step()
        # A namespace may be handed to a macro; it must only not be put inside another value.
        given = [value for value in (*args, *kwargs.values()) if not isinstance(value, Namespace)]
        budget().measure(given)
        if obj is Namespace:
            for value in kwargs.values():
                keep(value)
        method = text_method(obj)
        if method is not None:
            check_method(*method, args, kwargs)
        with budget().call():
            result = budget().made(super().call(context, obj, *args, **kwargs))
        if method is not None and isinstance(result, list | tuple):
            budget().build(budget().measure(result))  # as split, which makes new texts
        return result


class GenerationTag(Extension):
    """``{% generation %} ... {% endgeneration %}`` marks what a model is trained on: plain text
    here, its variables kept inside as transformers does."""

    tags = {"generation"}  # noqa: RUF012 (Jinja declares it so)

    def parse(self, parser: Parser) -> nodes.Node:
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=lineno)


@pass_context
def _count_output(context: Context, value: Any) -> Any:
    """Jinja's ``finalize``. That it takes the context keeps Jinja from calling it on constants
    while compiling."""
    return budget().made(value)


class _Meter(NodeTransformer):
    """Puts the counting filters into a parsed template."""

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:  # noqa: N802
        """Fixed text becomes a constant expression: those pass ``finalize``."""
        return nodes.Const(node.data, lineno=node.lineno)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.iter = _filter(_CHARGE, node.iter)
        return node

    def visit_Assign(self, node: nodes.Assign) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        into_namespace = node.target.find(nodes.NSRef) or isinstance(node.target, nodes.NSRef)
        node.node = _filter(_KEEP if into_namespace else _CHARGE, node.node)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = _filter(_CHARGE, node.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(_MADE, node) if isinstance(node.arg, nodes.Slice) else node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(_CONCAT, nodes.List(node.nodes, lineno=node.lineno))

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(_CHARGE, node) if node.ctx == "load" else node

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(_CHARGE, node)

    visit_Dict = visit_List  # noqa: N815


def _filter(name: str, node: nodes.Node) -> nodes.Filter:
    """The node, its value passed through one of our own filters."""
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
