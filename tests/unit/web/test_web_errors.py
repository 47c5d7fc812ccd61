"""JavaScript's errors and their types are Python's."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from webllm_py import errors

sys.path.insert(0, str(Path(__file__).parents[3]))  # for demo.tools, which no wheel holds

from demo.tools import web_errors

PYTHON = {
    name: kind.__base__.__name__
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.WebLLMError) and kind.__base__
}
START = {"StartError": "WebLLMError"}


def test_javascript_has_every_error_below_the_same_base() -> None:
    lines = re.findall(
        r'^export const (\w+) = define\("(\w+)", (\w+)\);$', web_errors.javascript(), re.MULTILINE
    )
    assert all(constant == name for constant, name, _ in lines)
    bases = {name: base for _, name, base in lines}
    assert bases == PYTHON | START | {"WebLLMError": "FieldsError"}
    defined = ["FieldsError"]
    for _, name, base in lines:  # a constant is there only from its line on
        assert base in defined
        defined.append(name)


def test_types_have_every_error_with_its_base_and_its_fields() -> None:
    found = re.findall(
        r"^export class (\w+) extends (\w+) \{([^}]*)\}$", web_errors.typescript(), re.MULTILINE
    )
    assert {name: base for name, base, _ in found} == PYTHON | START | {"WebLLMError": "Error"}
    fields = {name: re.findall(r"readonly (\w+): (.*);", text) for name, _, text in found}
    assert fields["SourceError"] == [
        ("status", "number | null"), ("transient", "boolean"), ("retry_after", "number | null"),
    ]  # fmt: skip
    assert fields["RequestError"] == [
        ("type", "string"), ("param", "string | null"), ("code", "string | null"),
    ]  # fmt: skip
    assert fields["UnsupportedSchemaError"] == [("keyword", "string"), ("path", "string")]
