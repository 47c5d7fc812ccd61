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

from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import Template, Undefined, nodes, pass_context
from jinja2.ext import Extension, LoopControlExtension
from jinja2.lexer import Token, TokenStream
from jinja2.meta import find_undeclared_variables
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import Namespace, missing
from jinja2.visitor import NodeTransformer

from webllm_py.chat import filters
from webllm_py.chat.budget import budget, may_be_kept
from webllm_py.errors import TemplateError

__all__ = ["ChatEnvironment"]

MAX_TOKENS = 500  # of one {{ }} or {% %}; published templates have up to 60
MAX_MACROS = 100  # published templates have up to 4
MAX_NESTING = 64  # of expressions and blocks; published templates nest up to 20

# Names of our own filters in rewritten templates; no template can write one with a space.
_OWN_FILTERS = {
    " charge": filters.charge,
    " concat": filters.concat,
    " keep in namespace": filters.keep_in_namespace,
    " made": filters.made,
    " keep in variable": filters.keep_in_variable,
}


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
            undefined=_Undefined,
            extensions=[_TokenLimit, GenerationTag, LoopControlExtension],
        )
        self.filters = {**filters.FILTERS, **_OWN_FILTERS}
        self.tests = dict(filters.TESTS)
        self.globals = {"range": safe_range, "dict": dict, "namespace": Namespace, **functions}

    def compile_metered(self, source: str) -> Template:
        """The template of that source, its work counted."""
        tree = self.parse(source)
        _check_shape(tree)
        tree = _Meter().visit(tree)
        tree.set_environment(self)
        return self.from_string(tree)

    def variables(self, source: str) -> frozenset[str]:
        """The names that the template takes from outside, if it looks at them at all."""
        return frozenset(find_undeclared_variables(self.parse(source)))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if not super().is_safe_attribute(obj, attr, value):
            return False
        for kind, methods in filters.METHODS.items():
            if isinstance(obj, kind):
                return attr in methods
        return True

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        return filters.binary(operator, left, right)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        budget().step()
        # A macro or a loop may be handed to a macro; it must only not be put into a namespace.
        budget().measure([value for value in (*args, *kwargs.values()) if may_be_kept(value)])
        if obj is Namespace:
            for value in kwargs.values():
                filters.keep_in_namespace(value)
        method = filters.text_method(obj)
        if method is not None:
            filters.check_method(*method, args, kwargs)
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
        node.iter = _filter(" charge", node.iter)
        return node

    def visit_Assign(self, node: nodes.Assign) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        into_namespace = node.target.find(nodes.NSRef) or isinstance(node.target, nodes.NSRef)
        place = "namespace" if into_namespace else "variable"
        node.node = _filter(f" keep in {place}", node.node)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = _filter(" charge", node.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(" made", node) if isinstance(node.arg, nodes.Slice) else node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(" concat", nodes.List(node.nodes, lineno=node.lineno))

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(" charge", node) if node.ctx == "load" else node

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(" charge", node)

    visit_Dict = visit_List  # noqa: N815


class _TokenLimit(Extension):
    """Keeps Jinja from building an expression so deep that freeing it overflows the stack."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        count = 0
        for token in stream:
            count = 0 if token.type in ("variable_begin", "block_begin") else count + 1
            if count > MAX_TOKENS:
                raise TemplateError(f"has more than {MAX_TOKENS} words between two braces")
            yield token


class _Undefined(Undefined):
    """Says what is missing where, without holding the object in which it is missing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._undefined_hint = self._undefined_message
        self._undefined_obj = missing


def _check_shape(tree: nodes.Node) -> None:
    """Refuse what would recurse deeply while it is compiled or freed: a browser's stack is small,
    and overflowing it ends Pyodide, not just the call."""
    if sum(1 for _ in tree.find_all(nodes.Macro)) > MAX_MACROS:
        raise TemplateError(f"has more than {MAX_MACROS} macros")
    waiting = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_NESTING:
            raise TemplateError(f"nests more than {MAX_NESTING} levels deep")
        waiting += [(child, depth + 1) for child in node.iter_child_nodes()]


def _filter(name: str, node: nodes.Node) -> nodes.Filter:
    """The node, its value passed through one of our own filters."""
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
