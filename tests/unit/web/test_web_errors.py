"""JavaScript's errors and their types are Python's."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from webllm_py import errors

WEB = Path(errors.__file__).parent / "web"
ONLY_JAVASCRIPT = {"StartError": "WebLLMError"}
PYTHON = {
    name: kind.__base__.__name__
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.WebLLMError) and kind.__base__
}


def javascript() -> dict[str, str]:
    """The base of each class."""
    text = (WEB / "js" / "errors.js").read_text(encoding="utf-8")
    found = re.findall(r'^export const (\w+) = define\("(\w+)", (\w+)\);$', text, re.MULTILINE)
    assert all(constant == name for constant, name, _ in found)
    return {name: base for _, name, base in found}


def declared() -> dict[str, tuple[str, str]]:
    """The base of each class, and the text of its fields."""
    text = (WEB / "webllm_py.d.ts").read_text(encoding="utf-8")
    found = re.findall(r"^export class (\w+) extends (\w+) \{([^}]*)\}$", text, re.MULTILINE)
    return {name: (base, fields) for name, base, fields in found}


def test_javascript_has_every_error_below_the_same_base() -> None:
    assert javascript() == PYTHON | {"WebLLMError": "Base"} | ONLY_JAVASCRIPT


def test_types_have_every_error_below_the_same_base() -> None:
    bases = {name: base for name, (base, _) in declared().items()}
    assert bases == PYTHON | {"WebLLMError": "Error"} | ONLY_JAVASCRIPT


@pytest.mark.parametrize("name", sorted(PYTHON))
def test_types_have_the_fields_that_an_error_s_docstring_tells_of(name: str) -> None:
    kind = getattr(errors, name)
    documented = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:")[2]
    fields = set(re.findall(r"^    (\w+): ", documented, re.MULTILINE))
    if name == "RequestError":
        fields.add("type")  # the class's own
    assert set(re.findall(r"readonly (\w+):", declared()[name][1])) == fields
