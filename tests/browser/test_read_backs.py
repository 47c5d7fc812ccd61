"""How long small read-backs wait in a browser: the package's own JavaScript, in a worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from firefox import report_from_firefox
from selenium.webdriver import Chrome
from served import ROOT, TestSite

PAGE = b"""<!doctype html><title>read-backs</title><script type="module">
const worker = new Worker("measure.js");
worker.onmessage = ({ data }) => fetch("/found", { method: "POST", body: JSON.stringify(data) });
</script>"""
MEASURE = b"""
const value = async (name) => (0, eval)(await (await fetch(name)).text());
const timed = async (times, wait) => {
  const found = [];
  for (let i = 0; i < times; i++) {
    const since = performance.now();
    await wait();
    found.push(performance.now() - since);
  }
  return found;
};
(async () => {
  const parts = ["host_clock.js", "nudge.js", "readbacks.js", "shaders.js"];
  const bridge = (await value("replay.js"))(...(await Promise.all(parts.map(value))));
  const gpu = await bridge.open("high-performance");
  const buffer = gpu.createBuffer("four bytes", 16);
  let submits = 0;
  const { queue } = gpu.device;
  const submit = queue.submit.bind(queue);
  queue.submit = (buffers) => { submits += 1; submit(buffers); };
  const read = () => gpu.read(buffer, 0, 4, true);
  const reads = await timed(15, read);
  const idles = await timed(15, () => { gpu.clear(buffer); return gpu.idle(); });
  await Promise.all([read(), read(), gpu.idle()]);
  const after = submits;
  await new Promise((resolve) => setTimeout(resolve, 50));
  return { nudged: gpu.describe().nudged, reads, idles, submits, late: submits - after };
})().then(postMessage, (error) => postMessage({ error: `${error.name}: ${error.message}` }));
"""


@pytest.fixture
def measuring(dist: Path) -> Iterator[TestSite]:
    """A page that measures, and POSTs what it found to /found."""
    sources = {
        f"/{name}": (ROOT / "webllm_py" / "gpu" / "browser" / name).read_bytes()
        for name in ("replay.js", "host_clock.js", "nudge.js", "readbacks.js", "shaders.js")
    }
    served = TestSite(dist, {**sources, "/measure.html": PAGE, "/measure.js": MEASURE})
    yield served
    served.close()


def test_firefox_is_nudged_while_something_waits(measuring: TestSite, tmp_path: Path) -> None:
    found = report_from_firefox(measuring, "measure.html", "/found", tmp_path)
    if "NoAdapter" in found.get("error", ""):
        pytest.skip("Firefox has no adapter: install mesa-vulkan-drivers")
    check(found, nudged=True)
    assert found["late"] == 0  # and no longer


def test_chromium_is_not_nudged(measuring: TestSite, driver: Chrome) -> None:
    for _ in range(3):  # a busy machine's stall of just the right length can be mistaken once
        driver.get(f"{measuring.url}measure.html")
        found = measuring.wait_for_report("/found", 60)
        if not found["nudged"]:
            break
    check(found, nudged=False)
    assert found["submits"] == 15 + 15 + 2  # its own and no others


def check(found: dict[str, Any], *, nudged: bool) -> None:
    """Waits are far below the 100 ms that Firefox takes when it is left alone."""
    assert "error" not in found, found["error"]
    assert found["nudged"] == nudged
    assert median(found["reads"]) < 30
    assert median(found["idles"]) < 30
