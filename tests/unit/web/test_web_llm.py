"""WebLLM's names: what web_llm.js exports is what its types declare, with WebLLM's models."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import webllm_py
from webllm_py.fetch.prebuilt import prebuilt_models

sys.path.insert(0, str(Path(__file__).parents[3]))  # for demo.tools, which no wheel holds

from demo.tools.web_module import prebuilt_records

WEB = Path(webllm_py.__file__).parent / "web"
# An exported name, or a list of them.
EXPORT = re.compile(
    r"^export (?:async function|class|const|function)? ?(\w+|\{[^}]*\})", re.MULTILINE
)


def exported(path: Path) -> set[str]:
    """What a module exports, also by way of others."""
    text = path.read_text("utf-8")
    names = {name for found in EXPORT.findall(text) for name in re.findall(r"\w+", found)}
    for other in re.findall(r'^export \* from "(.*)";$', text, re.MULTILINE):
        names |= exported(path.parent / other)
    return names


def test_types_declare_what_is_exported() -> None:
    declared = re.findall(
        r"^export (?:(?:class|const|function) |\{ )(\w+)",
        (WEB / "web_llm.d.ts").read_text("utf-8"),
        re.MULTILINE,
    )
    assert exported(WEB / "web_llm.js") == set(declared)


def test_records_are_webllm_s() -> None:
    text = prebuilt_records()
    records = json.loads(text.partition("export default ")[2].rstrip(";\n"))
    assert [record["model_id"] for record in records] == [*prebuilt_models()]
    for record, model in zip(records, prebuilt_models().values(), strict=True):
        assert record["model"].endswith(f"/{model.repository}")
        assert record["vram_required_MB"] << 20 == model.memory
        assert record["overrides"] == {"context_window_size": model.context}
        assert record.get("model_type", 0) == {"bert": 1, "phi3_v": 2}.get(model.family, 0)
