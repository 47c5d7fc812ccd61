"""Makes the other tests' makers of files importable."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in ("checkpoint", "tokenizer"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / folder))
