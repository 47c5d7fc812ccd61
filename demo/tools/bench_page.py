"""``python -m demo.tools.bench_page bench``: what ``webllm-py bench`` does, in headless Chromium.

Serves the built site and the model, opens the bench page, and prints what that reports. With
``--peer`` another engine measures the same weights afterwards, in the same Chromium.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from webllm_py.bench import BenchOptions
from webllm_py.cli.bench import bench_options, model_of
from webllm_py.cli.progress import ProgressLine
from webllm_py.errors import RequestError, WebLLMError

from .agreement import CHECK, agreement
from .bench_options import browser_arguments
from .comparison import as_json, compare, ratio_table
from .headless import run_page
from .page_start import page_start
from .peer_models import model_for, readable
from .peers import PEER_PACKAGES, PEERS, Peer
from .soak import soak

__all__ = ["bench_in_chromium", "bench_peer", "main"]

DIST = Path(__file__).resolve().parents[1] / "dist"
PEER_PAGES = Path(__file__).with_name("peer")
SPARE_POSITIONS = 8  # llama.cpp stops when its context is full, not after it


def main(
    words: list[str],
    *,
    program: str = "build.py bench",
    site: Path = DIST,
    packages: Path = PEER_PACKAGES,
) -> int:
    """Run with the words of ``webllm-py bench``, "bench" the first of them; the exit code.

    Args:
        program: what help and errors call it.
        site: the built site.
        packages: where the peers' packages from npm are.
    """
    options = browser_arguments(words[1:], program)
    progress = ProgressLine(sys.stderr)

    def on_step(text: str) -> None:
        progress.say(f"{text} ...")

    try:
        if options.page_start:
            report = page_start(site, 1 + options.runs, on_step, chromium=options.chromium)
        elif options.soak:
            # It takes long, and is told as far as it came whatever ends it.
            say = partial(print, file=sys.stderr, flush=True)
            report = soak(site, {"requests": options.soak}, say, chromium=options.chromium)
        else:
            report = measure(options, site, packages, on_step)
    except WebLLMError as error:
        if options.debug:
            raise
        report = {"message": str(error)}
    progress.clear()
    if "table" in report:
        print(json.dumps(report["results"], indent=2) if options.json else report["table"])
    if "message" in report:
        print(f"error: {report['message']}", file=sys.stderr)
    return int("message" in report)


def measure(
    options: Namespace, site: Path, packages: Path, on_step: Callable[[str], object]
) -> dict[str, Any]:
    """Ours, then the peer: "results" and "table" of what could be measured, "message" with what
    went wrong."""
    wanted, source = bench_options(options), model_of(options)
    peer = PEERS[options.peer] if options.peer else None
    file = readable(peer, source) if peer else source
    load, chromium = load_options(options), options.chromium
    check = CHECK if peer and peer.checked else None
    ours = bench_in_chromium(site, file, wanted, load, on_step, chromium=chromium, check=check)
    if peer is None or file is None or "message" in ours:
        return ours
    results = ours["results"]
    asked = measured(wanted, results)
    if peer.reads == "onnx":
        on_step("the same weights as ONNX")
    model = model_for(peer, file, f16=results["engine"]["kernels"].startswith("f16"))
    package = peer.folder(packages)
    theirs = bench_peer(
        peer, package, model, asked, on_step, chromium=chromium, subgroups=load["subgroups"]
    )
    if "message" in theirs:
        return ours | theirs
    rows = compare(ours, theirs)
    added = {"start_s": ours["start_s"], peer.name: theirs, "ratios": as_json(rows)}
    table = f"{ours['table']}\n\n{ratio_table(peer, theirs, rows)}"
    if check:
        found = agreement(ours["check"], theirs.pop("check"))
        added["agreement"] = found.as_json()
        table += f"\n{found.text(peer.name)}"
    return {"results": results | added, "table": table}


def load_options(options: Namespace) -> dict[str, Any]:
    """What ``demo/bench/worker.py`` loads the model with."""
    load = {
        "quantize": options.quantize,
        "kv_dtype": options.kv_dtype,
        "tune": options.tune,
        "f16": not options.no_f16,
        "subgroups": not options.no_subgroups,
        "power_preference": options.device,
    }
    if options.host_profile:
        load["host_profile"] = True
    return load | ({"context_length": options.context} if options.context else {})


def bench_in_chromium(
    site: Path,
    source: str | Path | None,
    wanted: BenchOptions,
    load: dict[str, Any],
    on_step: Callable[[str], object],
    *,
    chromium: Path | None = None,
    check: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Run our page; its last message: "results", "table" and "start_s" (seconds to start Python
    and to open the GPU), or "message" with what went wrong.

    Args:
        check: ``agreement.CHECK``, whose answer becomes "check".
    """
    address, mounts = served(source)
    query = {"bench": json.dumps(asdict(wanted)), "load": json.dumps(load), "report": ""}
    query |= {"model": address} if address else {}
    query |= {"check": json.dumps(dict(check))} if check else {}
    return run_page(
        site,
        "bench/index.html",
        query,
        on_step=on_step,
        chromium=chromium,
        mounts=mounts,
        isolated=True,
    )


def bench_peer(
    peer: Peer,
    package: Path,
    source: str | Path,
    asked: BenchOptions,
    on_step: Callable[[str], object],
    *,
    chromium: Path | None = None,
    subgroups: bool = True,
) -> dict[str, Any]:
    """Run the peer's page; its last message, as ``compare`` reads it, or "message" with what went
    wrong.

    Args:
        source: the model, as ``model_for`` gives it.
        package: the peer's packages from npm, unpacked.
        subgroups: False keeps the peer from them, where its page can.
    """
    if not package.is_dir():
        return {"message": f"{package} is not there: `build.py bench --peer {peer.name}` makes it"}
    address, mounts = served(source)
    query = {
        "model": str(address),
        "bench": json.dumps(asdict(asked)),
        "context": str(asked.longest + SPARE_POSITIONS),
        "check": json.dumps(dict(CHECK)),
        "subgroups": json.dumps(subgroups),
    }
    return run_page(
        PEER_PAGES,
        f"{peer.name}.html",
        query,
        on_step=on_step,
        chromium=chromium,
        mounts={**mounts, "package": package},
        isolated=True,
    )


def measured(wanted: BenchOptions, results: Mapping[str, Any]) -> BenchOptions:
    """What ours did measure of what was wanted: lengths over the model's context are left out.

    Raises:
        RequestError: nothing is left.
    """
    lengths = [row["prompt_tokens"] for row in results["prefill"]]
    contexts = [row["context"] for row in results["decode"] if row["sampling"] == "greedy"]
    if not lengths or not contexts:
        raise RequestError("nothing to compare: give shorter --prompt-tokens and --contexts")
    return replace(wanted, prompt_tokens=lengths, contexts=contexts)


def served(source: str | Path | None) -> tuple[str | None, dict[str, Path]]:
    """The address of the model for a page, and the local folder to serve it from, by its name."""
    if source is None or not Path(source).exists():
        return (None if source is None else str(source)), {}
    path = Path(source).resolve()
    if path.is_dir():
        return "bench-model/", {"bench-model": path}
    return f"bench-model/{quote(path.name)}", {"bench-model": path.parent}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
