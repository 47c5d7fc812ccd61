"""Documents of the pocket model's corpus, made once for all tests of this folder."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3]))  # for demo.pocket, which no wheel holds

from demo.pocket.corpus import Chat, Draw, documents


@pytest.fixture(scope="session")
def chats() -> list[Chat]:
    """Some 65,000 turns."""
    made = islice(documents(Draw(20_000)), 20_000)
    return [document for document in made if isinstance(document, Chat)]
