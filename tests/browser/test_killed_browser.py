"""A Chromium that is killed, in the middle of a download and of answers, and started again."""

from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from chromium import new_driver
from page import wait_until
from pytest_pyodide.fixture import selenium_common
from pytest_pyodide.runner import SeleniumChromeRunner
from selenium.common.exceptions import WebDriverException
from served import DIST, OUT, ROOT, TestSite, run_python
from urllib3.exceptions import HTTPError

sys.path[:0] = [str(ROOT / "tests" / name) for name in ("engine", "gpu", "unit/fetch")]

from hostile_server import StallingServer  # noqa: E402 - they lie beside other tests
from made_models import SMALL, weights_of  # noqa: E402
from model_files import write_gguf  # noqa: E402
from range_server import running  # noqa: E402

BLOCK = 1 << 16
PRELUDE = f"""
    import asyncio, json, logging
    import webllm_py
    from webllm_py import models_store
    from webllm_py.engine import keeping
    from webllm_py.fetch.store import stored_model
    from webllm_py.runtime import executor

    stored_model.BLOCK_BYTES = {BLOCK}
    executor.LONG_PROMPTS = ()  # whose kernels compile for long
    keeping.SECONDS = 0.1
    state = {{}}

    async def load(url):
        state["engine"] = await webllm_py.load(url, tune=False)

    async def give(name, fields):
        async for piece in await state["engine"].completions.create(**fields, stream=True):
            state[name] = state.get(name, "") + piece.choices[0].text
            await asyncio.sleep(0.05)
"""
REQUESTS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0},
    "seeded": {"seed": 7, "repetition_penalty": 1.2, "temperature": 0.9},
}
for fields in REQUESTS.values():
    fields |= {"prompt": "Once", "max_tokens": 450, "ignore_eos": True}
    fields["prompt_lookup"] = False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StallingServer]:
    path = write_gguf(tmp_path / "small.gguf", SMALL, weights_of(SMALL))
    server = StallingServer({"small.gguf": path.read_bytes()}, 8 * BLOCK)
    with running(server, server.released):
        yield server


@contextmanager
def chromium(request: Any, site: TestSite, profile: Path) -> Iterator[Any]:
    """A Chromium with this profile, and Python in it; killed in the end."""
    start = partial(new_driver, f"--user-data-dir={profile}")
    with pytest.MonkeyPatch.context() as patch, suppress(WebDriverException, HTTPError):
        patch.setattr(SeleniumChromeRunner, "get_driver", lambda self, jspi=False: start())
        server = ("127.0.0.1", site.port, OUT / "no-server-log")
        with selenium_common(request, "chrome", server, load_pyodide=False) as page:
            page.set_script_timeout(170)
            page.prepare_driver()
            page.javascript_setup()
            page.load_pyodide()
            page.initialize_pyodide()
            page.load_package("micropip")
            wheel = json.loads((DIST / "site.json").read_text(encoding="utf-8"))["own_wheel"]
            page.run_async(f'import micropip; await micropip.install("{page.base_url}/{wheel}")')
            page.run_async(textwrap.dedent(PRELUDE))
            yield page
            kill(profile)


def kill(profile: Path) -> None:
    """Kill -9 of the browser that uses a profile, all of its processes."""
    own = f"--user-data-dir={profile}".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if own in (place / "cmdline").read_bytes().split(b"\0"):
                found.append(int(place.name))
    assert found
    for number in found:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def test_killed_twice(
    request: pytest.FixtureRequest,
    pyodide_site: TestSite,
    server: StallingServer,
    tmp_path: Path,
    long: bool,
) -> None:
    """What was downloaded is not downloaded again, and what was said is said to its end."""
    if not long:
        pytest.skip("with --long: Chromium starts three times")
    url, profile = server.url("small.gguf"), tmp_path / "profile"
    with chromium(request, pyodide_site, profile) as page:
        page.run_async(f"state['loading'] = asyncio.ensure_future(load({url!r})); 0")
        size = f"await models_store().size({url!r})"
        wait_until(lambda: run_python(page, size, {}) >= 2 * BLOCK, 60, "some blocks are kept")
        kept = run_python(page, size, {})
    server.most, server.sent = 1 << 30, 0
    server.released.set()
    with chromium(request, pyodide_site, profile) as page:
        run_python(page, f"await load({url!r})\n0", {})
        missing = len(server.files["small.gguf"]) - kept
        print(f"{kept:,} bytes were kept; of {missing:,} others {server.sent:,} came")
        assert 0 < server.sent <= missing + 2 * BLOCK  # what was on its way counts as sent
        expected = {}
        for name, fields in REQUESTS.items():
            code = "(await state['engine'].completions.create(**fields)).choices[0].text"
            expected[name] = run_python(page, code, {"fields": fields})
        for name, fields in REQUESTS.items():
            given = {**fields, "resumable": name}
            begin = f"state['task {name}'] = asyncio.ensure_future(give(name, fields))\n0"
            run_python(page, begin, {"name": name, "fields": given})
        kept_now = """
            names = {name[2:] for name in await models_store().backend.files("answers")
                     if name[0] in "01"}
            {name: text for name in names if len(text := state.get(name, "")) > 20}
            """
        said = wait_until(
            lambda: len(found := run_python(page, kept_now, {})) == len(REQUESTS) and found,
            60,
            "both answers are kept, and under way",
        )
    server.requests.clear()
    with chromium(request, pyodide_site, profile) as page:
        run_python(page, f"await load({url!r})\n0", {})
        for name in REQUESTS:
            code = """
                stream = await state["engine"].resume(name)
                "".join([piece.choices[0].text async for piece in stream])
                """
            found = run_python(page, code, {"name": name})
            print(f"{name}: {len(said[name])} characters were said, of {len(found)}")
            assert 0 < len(said[name]) < len(expected[name]) and found == expected[name]
        left = run_python(page, "[one.name for one in await state['engine'].unfinished()]", {})
        assert left == [] and server.requests == []
