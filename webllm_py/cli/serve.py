"""``webllm-py serve``: an engine behind OpenAI's HTTP interface, until Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from webllm_py.cli.opening import open_engine
from webllm_py.cli.terminal import Style, printable
from webllm_py.engine import Engine
from webllm_py.errors import AddressError
from webllm_py.optional import optional_module
from webllm_py.serving import (
    ASGIApp,
    OriginGuard,
    PublicImages,
    Service,
    checked_key,
    checked_origin,
)
from webllm_py.serving.images import only_data_urls
from webllm_py.units import count

__all__ = ["serve"]

# Answers under way when Ctrl-C comes have so long to end, in seconds; and so long for what there is
# of them to be sent.
GRACE = 3
SENDING = 2
LOCAL = ("localhost", "127.0.0.1", "::1")


def serve(options: Namespace) -> int:
    """Run the command."""
    # What would fail is told before the model is loaded.
    needed("starlette")
    uvicorn = needed("uvicorn")
    options.api_key = api_key_of(options)
    options.allow_origin = [checked_origin(origin) for origin in options.allow_origin]
    with listening(options.host, options.port) as listener:
        asyncio.run(run(options, listener, uvicorn))
    return 0


def needed(name: str) -> Any:
    """A module of the [serve] extra."""
    return optional_module(name, "webllm-py serve", "'webllm-py[serve]'")


def api_key_of(options: Namespace) -> str | None:
    """What clients must send; None for nothing.

    Raises:
        ServerError: it cannot be sent, or ``--api-key`` is empty, as a variable that is not set is.
    """
    key = options.api_key
    if key is None:
        key = os.environ.get("WEBLLM_PY_API_KEY") or None
    return None if key is None else checked_key(key)


def listening(host: str, port: int) -> socket.socket:
    """A socket that is bound to the address.

    Raises:
        AddressError: it cannot be.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name != "nt":  # there it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise AddressError(
            f"cannot listen on port {port} of {host}: {error.strerror or error}; "
            "--port and --host give another address"
        ) from error
    return listener


async def run(options: Namespace, listener: socket.socket, uvicorn: Any) -> None:
    """Load, and answer until a signal ends it."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(is_error)
    first, *others = options.sources or [None]
    async with open_engine(options, first, others) as engine:
        service = Service(
            engine,
            api_key=options.api_key,
            most_waiting=options.most_waiting,
            images=PublicImages() if options.fetch_images else only_data_urls,
        )
        config = uvicorn.Config(
            guarded(ASGIApp(service), options),
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=GRACE + SENDING,
        )
        announce(engine, listener, options)
        await until_signal(uvicorn.Server(config), listener, engine)


async def until_signal(server: Any, listener: socket.socket, engine: Engine) -> None:
    """Answer until Ctrl-C or a polite kill. What is under way then has a while to end, and is
    interrupted rather than cut off: a stream's reader sees an end."""
    loop, signalled = asyncio.get_running_loop(), asyncio.Event()

    def end(number: int, frame: FrameType | None) -> None:
        server.handle_exit(number, frame)
        loop.call_soon_threadsafe(signalled.set)

    async def interrupt() -> None:
        await signalled.wait()
        await asyncio.sleep(GRACE)
        await engine.unload()

    # uvicorn's own way raises the signal again at the end, which would cut unloading short.
    server.capture_signals = lambda: signals(end)
    interrupting = asyncio.create_task(interrupt())
    try:
        await server.serve(sockets=[listener])
    finally:
        interrupting.cancel()
        await asyncio.gather(interrupting, return_exceptions=True)


def is_error(record: logging.LogRecord) -> bool:
    """Whether something went wrong: not where a reply was cut off because the server ends."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def guarded(app: Any, options: Namespace) -> Any:
    """The application behind checks of who asks."""
    if options.allow_origin:
        cors = needed("starlette.middleware.cors")
        app = cors.CORSMiddleware(
            app, allow_origins=options.allow_origin, allow_methods=["*"], allow_headers=["*"]
        )
    app = OriginGuard(app, options.allow_origin)
    if options.host in LOCAL:
        # A web page can give its own name this machine's address, and then read what it answers.
        trusted = needed("starlette.middleware.trustedhost")
        hosts = ["localhost", "127.0.0.1", "[::1]"]
        app = trusted.TrustedHostMiddleware(app, allowed_hosts=hosts, www_redirect=False)
    return app


@contextmanager
def signals(handler: Any) -> Iterator[None]:
    """Ctrl-C and a polite kill end the server, and nothing else."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def announce(engine: Engine, listener: socket.socket, options: Namespace) -> None:
    """What is served where."""
    style = Style.of(sys.stdout)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    for name, each in engine.models.items():
        info = each.info
        model = f"{info['architecture']}, {count(info['parameters'])} parameters"
        where = f"· {model}, {info['quantization']} on {info['adapter']}"
        print(f"{style.bold(printable(name))} {style.dim(where)}")
    if engine.adapters:
        print(style.dim(f"adapters: {', '.join(engine.adapters)}"))
    print(f"{style.cyan(f'http://{shown}:{port}/v1')}   (Ctrl+C stops)", flush=True)
