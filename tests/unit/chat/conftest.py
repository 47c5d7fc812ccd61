"""Where the chat templates of published models lie."""

from __future__ import annotations

from pathlib import Path

import pytest

TEMPLATES = Path(__file__).parents[3].parent / "shared" / "data" / "chat-templates"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``model_template``: each template in jinja/, by the name of its file."""
    if "model_template" in metafunc.fixturenames:
        paths = sorted((TEMPLATES / "jinja").glob("*.jinja"))
        metafunc.parametrize("model_template", paths or [None], ids=lambda p: p.stem if p else "-")


@pytest.fixture(scope="session")
def templates_folder() -> Path:
    """The folder of templates and exact renderings."""
    if not TEMPLATES.is_dir():
        pytest.skip(f"the templates of published models are not there: {TEMPLATES}")
    return TEMPLATES
