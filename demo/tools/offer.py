"""A built site for whoever built it: served on this machine, and opened in a browser."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import webbrowser
from pathlib import Path

from demo.tools.serve import LAST_PORT, SiteServer
from demo.tools.steps import StepFailedError

__all__ = ["offer"]


def offer(dist: Path, arguments: argparse.Namespace, page: str = "") -> int:
    """Serve a built site and open its first page, as far as that is wanted."""
    if arguments.no_serve:
        print(f"\nBuilt {dist}. Any static server will do; no special headers are needed.")
    else:
        serve(dist, arguments.port, page, open_browser=not arguments.no_open)
    return 0


def serve(dist: Path, port: int, page: str, *, open_browser: bool) -> None:
    """Serve the site until Ctrl+C, and open it where there is a browser to open it in."""
    with server_near(dist, port) as server:
        url = server.url + page
        print(f"\nThe page is at {url}   (Ctrl+C stops)", flush=True)
        if open_browser and not (has_display() and webbrowser.open(url)):
            number = server.server_address[1]
            print(
                "There is no browser here. On the machine in front of you, run\n"
                f"    ssh -N -L {number}:localhost:{number} USER@THIS-MACHINE\n"
                f"and open {url} there. (Not by this machine's address:\n"
                "browsers offer WebGPU only on localhost and over https.)",
                flush=True,
            )
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def server_near(dist: Path, port: int) -> SiteServer:
    """A server of the site on this port, or on the next one that is free."""
    last = min(port + 9, LAST_PORT)
    for candidate in (*range(port, last + 1), 0):
        try:
            return SiteServer(dist, candidate)
        except OSError:
            continue
    raise StepFailedError(f"No port is free, neither {port} to {last} nor any other.")


def has_display() -> bool:
    """Whether a graphical browser could open (a terminal browser could not run the page)."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
