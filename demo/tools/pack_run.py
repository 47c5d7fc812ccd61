#!/usr/bin/env python3
"""Measures in this machine's Chromium: ``build.py bench --pack`` wrote this folder.

Needs Python 3.11 or newer and a Chromium, and no network: random models are made here.

python3 run.py --help
python3 run.py --shape qwen2.5-0.5b --chromium /path/to/chromium
"""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - a plain sentence instead of a traceback
    sys.exit("run.py needs Python 3.11 or newer; this is " + sys.version.split()[0])

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run a bench; the status to exit with."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as library:
        unpack_wheels(Path(library))
        sys.path[:0] = [library, str(HERE)]
        from tools.bench_page import main as bench

        return bench(
            ["bench", *sys.argv[1:]],
            program="run.py",
            site=HERE / "site",
            packages=HERE / "peers",
        )


def unpack_wheels(library: Path) -> None:
    """What the page runs, for this Python to import as well."""
    site = json.loads((HERE / "site" / "site.json").read_text())
    for name in site["wheels"]:
        with zipfile.ZipFile(HERE / "site" / "pyodide" / name) as wheel:
            wheel.extractall(library)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
