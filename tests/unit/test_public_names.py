"""The names that ``import webllm_py`` gives, all of them and quickly."""

from __future__ import annotations

import re
import subprocess
import sys
from inspect import signature
from pathlib import Path

import pytest

import webllm_py
from webllm_py import errors, sync


def test_every_public_name_is_there() -> None:
    assert all(getattr(webllm_py, name) is not None for name in webllm_py.__all__)
    assert dir(webllm_py) == webllm_py.__all__


def test_every_error_is_public() -> None:
    assert set(errors.__all__) <= set(webllm_py.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'lod'\. Did you mean 'load'\?$"):
        _ = webllm_py.lod
    with pytest.raises(AttributeError, match=r"no attribute '__wrapped__'$"):
        _ = webllm_py.__wrapped__


@pytest.mark.parametrize("given", [(), ("model.gguf",)])
def test_an_engine_is_made_by_load(given: tuple[str, ...]) -> None:
    with pytest.raises(TypeError, match=r"made by load: engine = await webllm_py\.load"):
        webllm_py.Engine(*given)  # type: ignore[call-arg,arg-type]


def test_importing_the_package_imports_no_engine() -> None:
    code = (
        "import sys, webllm_py\n"
        "assert 'webllm_py.engine' not in sys.modules and 'asyncio' not in sys.modules\n"
        "from webllm_py import load\n"
        "assert 'webllm_py.engine' in sys.modules and load is webllm_py.load"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_scripts_have_every_method_of_the_engine() -> None:
    internal = {  # public to other parts of the package alone
        *("any_loaded", "check_ids", "check_length", "chosen", "embed", "embedder", "loaded"),
        *("respond", "steered", "writes"),
    }
    public = {name for name in dir(webllm_py.Engine) if not name.startswith("_")}
    assert public - internal == {name for name in dir(sync.Engine) if not name.startswith("_")}
    for name in sorted(public - internal):
        ours, theirs = getattr(sync.Engine, name), getattr(webllm_py.Engine, name)
        if callable(ours):
            assert signature(ours).parameters == signature(theirs).parameters


def test_a_load_is_told_the_same_everywhere() -> None:
    """Of a model beside another, and in JavaScript."""
    options = signature(webllm_py.load).parameters
    beside = signature(webllm_py.Engine.add_model).parameters
    assert {**options, **beside}.keys() - {"self", "name"} == options.keys()
    assert options.keys() - beside.keys() == {"device"}
    web = Path(webllm_py.__file__).parent / "web"
    table = (web / "js" / "plain.js").read_text("utf-8").partition("};")[0]
    names = dict(re.findall(r'(\w+): "(\w+)",', table))
    assert {*names.values(), "source", "on_progress"} == options.keys()
    declared = (web / "webllm_py.d.ts").read_text("utf-8")
    fields = declared.partition("interface LoadOptions {")[2].partition("\n}")[0]
    assert {*re.findall(r"^  (\w+)\?:", fields, re.MULTILINE)} == {*names, "onProgress", "signal"}
