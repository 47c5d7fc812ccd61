"""Models of the families in Chromium, against transformers in float32: a few, or with ``--long``
all."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import ROOT

sys.path[:0] = [str(ROOT / "tests" / "engine"), str(ROOT / "tests" / "gpu")]

from expected import Expected  # noqa: E402 - beside the engine's tests
from families_table import Measured  # noqa: E402
from family_gguf import write_family_gguf  # noqa: E402
from family_models import FAMILY_MODELS  # noqa: E402
from made_families import Recorded  # noqa: E402
from made_models import SPECS, tokens_of, weights_of  # noqa: E402
from model_files import write_gguf  # noqa: E402

LLAMA = "llama-1x64"
NAMES = [LLAMA, *(name for name, model in FAMILY_MODELS.items() if model.gguf)]
ALWAYS = ("cohere2", "qwen3.5-moe")
TOLERANCE = 5e-5


def made(name: str, path: Path) -> tuple[str, list[list[int]], list[Expected], int | None]:
    """A model's file; what it calls itself, prompts, their logits, and the context."""
    if name == LLAMA:
        spec = SPECS[name]
        write_gguf(path, spec, weights_of(spec))
        return spec.architecture, [tokens_of(spec)], [Expected.load(name)[0]], None
    model, recorded = FAMILY_MODELS[name], Recorded.load(name)
    write_family_gguf(path, model, recorded, model.weights(recorded.shapes))
    prompts = [model.tokens(i) for i in range(len(model.prompts))]
    return model.model_type, prompts, recorded.expected, model.context


@pytest.mark.parametrize("name", NAMES)
def test_logits(name: str, python: Any, tmp_path: Path, long: bool, measured: Measured) -> None:
    if not long and name not in ALWAYS:
        pytest.skip("all families take minutes: --long")
    path = tmp_path / "model.gguf"
    model_type, prompts, expected, context = made(name, path)
    content = base64.b64encode(path.read_bytes()).decode()
    found = python.run_async(f"""
        import base64, json, js, webllm_py
        from pyodide.ffi import to_js
        from webllm_py.runtime import executor

        executor.LONG_PROMPTS, usual = (), executor.LONG_PROMPTS  # whose kernels compile for long
        file = js.File.new(to_js([base64.b64decode("{content}")]), "model.gguf")
        options = {{"kv_dtype": "f32", "tune": False, "context_length": {context}}}
        async with await webllm_py.load(file, **options) as engine:
            logits = [(await engine.logits(tokens)).tolist() for tokens in {prompts}]
        executor.LONG_PROMPTS = usual
        json.dumps(logits)
        """)
    errors = [
        one.error(np.array(logits)) for one, logits in zip(expected, json.loads(found), strict=True)
    ]
    print(f"{name}: {max(errors):.1e}")
    measured.note(model_type, "GGUF in Chromium", max(errors))
    assert max(errors) < TOLERANCE
