"""Devices for kernel tests: lavapipe (or a real GPU) in four variants, and Chromium."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
from runners import ChromiumRunner, DeviceRunner, Runner, serve_blank_page

from webllm_py.errors import NoAdapterError

VARIANTS = {
    "f32": (False, False),
    "f32-subgroups": (False, True),
    "f16": (True, False),
    "f16-subgroups": (True, True),
}

PAIRS = (("f32", "f16-subgroups"), ("f32-subgroups", "f16"))
MANY_CASES = 4


@pytest.fixture(scope="session")
async def native_runners() -> AsyncIterator[dict[str, DeviceRunner]]:
    """One device for each variant that the adapter has."""
    from webllm_py.gpu.native import open_native

    runners = {}
    for name, (f16, subgroups) in VARIANTS.items():
        try:
            device = await open_native(f16=f16, subgroups=subgroups)
        except NoAdapterError as error:
            pytest.skip(f"no GPU adapter for wgpu: {error}")
        if device.variant.f16 == f16 and bool(device.variant.subgroups) == subgroups:
            runners[name] = DeviceRunner(device)
        else:
            device.close()
    yield runners
    for runner in runners.values():
        runner.device.close()


@pytest.fixture(scope="session")
def chromium_runner() -> Iterator[ChromiumRunner]:
    """Chromium on SwiftShader."""
    from chromium import UNCLEARED, find_chromium, new_driver

    if find_chromium() is None:
        pytest.skip("no Chromium found")
    driver = new_driver(UNCLEARED)
    driver.set_script_timeout(400)
    server = serve_blank_page()
    driver.get(f"http://127.0.0.1:{server.server_port}/")
    yield ChromiumRunner(driver)
    driver.quit()
    server.shutdown()
    server.server_close()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every-variant", action="store_true", help="run every case of a kernel in all variants"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what compiles for long and shows little.

    What is marked ``native`` where Chromium is the runner; and two of the four variants of most
    cases: of those of one test, about half run in the one pair of variants, half in the other. A
    test of few cases runs all of them.
    """
    kept = [item for item in items if not native_in_chromium(item)]
    if not config.getoption("--every-variant"):
        left_out = halved(kept)
        kept = [item for item in kept if item not in left_out]
    chosen = set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = kept


def native_in_chromium(item: pytest.Item) -> bool:
    return variant_of(item) == "chromium" and item.get_closest_marker("native") is not None


def variant_of(item: pytest.Item) -> str | None:
    """The ``runner`` of a test of kernels."""
    found: str | None = getattr(item, "callspec", None) and item.callspec.params.get("runner")
    return found


def halved(items: list[pytest.Item]) -> set[pytest.Item]:
    """Those to leave out, so that cases have two variants."""
    cases: dict[str, dict[str, list[pytest.Item]]] = {}
    for item in items:
        if (variant := variant_of(item)) in VARIANTS:
            test, _, case = item.nodeid.partition(f"[{variant}")
            cases.setdefault(test, {}).setdefault(case, []).append(item)
    left_out = set()
    for of_a_test in cases.values():
        if len(of_a_test) >= MANY_CASES:
            for number, of_a_case in enumerate(of_a_test.values()):
                pair = PAIRS[number.bit_count() % 2]  # no period that the parameters could share
                left_out |= {item for item in of_a_case if variant_of(item) not in pair}
    return left_out


@pytest.fixture(params=[*VARIANTS, "chromium"])
def runner(request: pytest.FixtureRequest) -> Runner:
    """Each device and variant in turn."""
    if request.param == "chromium":
        found: Runner = request.getfixturevalue("chromium_runner")
        return found
    runners = request.getfixturevalue("native_runners")
    if request.param not in runners:
        pytest.skip(f"this adapter has no variant {request.param}")
    native: Runner = runners[request.param]
    return native


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers of the test's own, the same whatever ran before."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))
