"""The names that ``import webllm_py`` gives, all of them and quickly."""

from __future__ import annotations

import subprocess
import sys

import pytest

import webllm_py
from webllm_py import errors


def test_every_public_name_is_there() -> None:
    assert all(getattr(webllm_py, name) is not None for name in webllm_py.__all__)
    assert dir(webllm_py) == webllm_py.__all__


def test_every_error_is_public() -> None:
    assert set(errors.__all__) <= set(webllm_py.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = webllm_py.lod


def test_importing_the_package_imports_no_engine() -> None:
    code = (
        "import sys, webllm_py\n"
        "assert 'webllm_py.engine' not in sys.modules and 'asyncio' not in sys.modules\n"
        "from webllm_py import load\n"
        "assert 'webllm_py.engine' in sys.modules and load is webllm_py.load"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
