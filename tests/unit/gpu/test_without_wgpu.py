"""Without wgpu-py there is an error by name, which says what to install."""

from __future__ import annotations

import sys

import pytest

from webllm_py import MissingPackageError
from webllm_py.cli import main
from webllm_py.gpu import open_device


async def test_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wgpu", None)
    with pytest.raises(MissingPackageError, match="not installed: pip install wgpu"):
        await open_device()


def test_it_is_no_traceback_in_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wgpu", None)
    assert main(["complete", "--prompt", "Hello"]) == 1
    assert "pip install wgpu" in capsys.readouterr().err
