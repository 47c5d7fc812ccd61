"""The same names for scripts, without ``await``.

::

    from webllm_py import sync

    with sync.load() as engine:
        for chunk in engine.chat.completions.create(messages=[...], stream=True):
            print(chunk.choices[0].delta.content or "", end="")

Natively an engine's event loop runs in a thread of its own, so this works wherever Python may wait,
in a notebook too. In Pyodide the browser suspends Python (JavaScript Promise Integration: Chrome
137, and Python entered by ``runPythonAsync``).
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, overload

from webllm_py import engine as asynchronous
from webllm_py.api import (
    ChatCompletion,
    ChatCompletionChunk,
    Completion,
)
from webllm_py.api.embeddings import CreateEmbeddingResponse
from webllm_py.errors import CannotSuspendError, EngineClosedError
from webllm_py.tokenizer import Tokenizer

if TYPE_CHECKING:
    from webllm_py.engine.open_box import Inspection
    from webllm_py.fetch.kept_answers import Unfinished
    from webllm_py.runtime.adapters import LoadedAdapter

__all__ = ["Engine", "Stream", "load"]

ResultT = TypeVar("ResultT")
PieceT = TypeVar("PieceT")


class Runner(Protocol):
    """Runs coroutines to their ends, all on one event loop."""

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """The result of one."""

    def forget(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start one that nobody waits for."""

    def close(self) -> None:
        """No more will come."""


class ThreadRunner:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="webllm_py", daemon=True
        )
        self._thread.start()
        self._closed = False
        self._lock = threading.Lock()  # what is started is started before the loop ends, or not

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """The result; what interrupts waiting for it, as Ctrl-C does, ends the work too."""
        future = self._started(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def forget(self, work: Coroutine[Any, Any, Any]) -> None:
        with suppress(EngineClosedError):
            self._started(work)

    def _started(self, work: Coroutine[Any, Any, ResultT]) -> Future[ResultT]:
        with self._lock:
            if self._closed:
                work.close()
                raise EngineClosedError(asynchronous.UNLOADED)
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            ended = asyncio.run_coroutine_threadsafe(others_ended(), self._loop)
        ended.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def others_ended() -> None:
    """Whoever waits in another thread gets an answer, before the loop ends."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()


class SuspendingRunner:
    """The browser's event loop, on which Python suspends.

    Raises:
        CannotSuspendError: it cannot.
    """

    def __init__(self) -> None:
        from webllm_py.gpu.browser import can_suspend

        if not can_suspend():
            raise CannotSuspendError(
                "Python cannot wait here without an await: this browser has no JavaScript Promise "
                "Integration, or Python was not entered by runPythonAsync. Use `await "
                "webllm_py.load(...)` and its engine instead"
            )

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        from webllm_py.gpu.browser import suspend

        result: ResultT = suspend(work)
        return result

    def forget(self, work: Coroutine[Any, Any, Any]) -> None:
        asyncio.ensure_future(work)  # noqa: RUF006 - the browser's loop keeps it

    def close(self) -> None:
        pass


def load(source: Any = None, **options: Any) -> Engine:
    """Load a model: ``webllm_py.load``, with its arguments and its errors.

    Raises:
        CannotSuspendError: in a browser that cannot make Python wait.
    """
    runner: Runner = SuspendingRunner() if sys.platform == "emscripten" else ThreadRunner()
    try:
        return Engine(runner.run(asynchronous.load(source, **options)), runner)
    except BaseException:
        runner.close()
        raise


class Stream(Iterator[PieceT]):
    """The pieces of an answer. ``close`` (or ``with``) ends it early; so does dropping it."""

    def __init__(self, stream: Any, runner: Runner):
        self._stream, self._runner = stream, runner
        self._ended = False

    def __next__(self) -> PieceT:
        piece: PieceT | None = None
        if not self._ended:
            piece = self._runner.run(following(self._stream))
        if piece is None:
            self._ended = True
            raise StopIteration
        return piece

    def __enter__(self) -> Stream[PieceT]:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the answer; returns when the engine is free again."""
        if not self._ended:
            self._ended = True
            self._runner.run(self._stream.aclose())

    def __del__(self) -> None:
        if not self._ended:
            self._runner.forget(self._stream.aclose())


async def following(stream: Any) -> Any:
    """The next piece of a stream; None after the last one."""
    return await anext(stream, None)


class Engine:
    """A loaded model. Made by ``webllm_py.sync.load``; several threads may use it.

    Every name does what it does in ``webllm_py.Engine``, and returns when it is done.
    """

    def __init__(self, engine: asynchronous.Engine, runner: Runner, *, first: bool = True):
        self._engine, self._runner, self._first = engine, runner, first
        self._unloaded = False
        self.chat = Chat(engine, runner)
        self.completions = Completions(engine.completions, runner)
        self.embeddings = Embeddings(engine.embeddings, runner)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
        self.unload()

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return self._engine.tokenizer

    @property
    def name(self) -> str:
        """The model's name."""
        return self._engine.name

    @property
    def info(self) -> dict[str, Any]:
        """What runs where."""
        return self._engine.info

    def logits(self, ids: Sequence[int] | str, **wanted: Any) -> Any:
        """The logits after every position."""
        return self._runner.run(self._engine.logits(ids, **wanted))

    @property
    def adapters(self) -> Mapping[str, LoadedAdapter]:
        """The adapters that are loaded."""
        return self._engine.adapters

    def load_adapter(self, source: Any, **options: Any) -> LoadedAdapter:
        """Load a LoRA adapter beside the model's weights."""
        return self._runner.run(self._engine.load_adapter(source, **options))

    def unload_adapter(self, name: str) -> None:
        """Forget an adapter and free its memory."""
        self._runner.run(self._engine.unload_adapter(name))

    def inspect(self, ids: Sequence[int] | str, **wanted: Any) -> Inspection:
        """Hidden states, attentions and logits of a text."""
        return self._runner.run(self._engine.inspect(ids, **wanted))

    def logit_lens(self, ids: Sequence[int] | str, **wanted: Any) -> Any:
        """What the output layer makes of what is between layers."""
        return self._runner.run(self._engine.logit_lens(ids, **wanted))

    @contextmanager
    def steer(self, vectors: Mapping[int, Any]) -> Iterator[None]:
        """While this lasts, add a vector to what leaves a layer."""
        steering = self._engine.steer(vectors)
        self._runner.run(steering.__aenter__())
        try:
            yield
        finally:
            self._runner.run(steering.__aexit__(None, None, None))

    def save_state(self, path: str | Path | None = None) -> bytes:
        """The conversation that ended last, with its keys and values."""
        return self._runner.run(self._engine.save_state(path))

    def load_state(self, state: bytes | str | Path) -> int:
        """Put a saved conversation into the cache."""
        return self._runner.run(self._engine.load_state(state))

    def fork(self) -> int:
        """Keep the conversation that ended last twice."""
        return self._runner.run(self._engine.fork())

    def rewind(self, n: int) -> list[int]:
        """Forget the last tokens of the conversation that ended last."""
        return self._runner.run(self._engine.rewind(n))

    def interrupt(self) -> None:
        """End the answer whose turn it is; for another thread than the one that waits for it."""
        self._engine.interrupt()

    @property
    def models(self) -> dict[str, Engine]:
        """Its models by name, its own first."""
        return {
            name: self if engine is self._engine else Engine(engine, self._runner, first=False)
            for name, engine in self._engine.models.items()
        }

    def add_model(self, source: Any = None, **options: Any) -> Engine:
        """Load another model beside it."""
        engine = self._runner.run(self._engine.add_model(source, **options))
        return Engine(engine, self._runner, first=False)

    def unfinished(self) -> list[Unfinished]:
        """Resumable answers that were cut off."""
        return self._runner.run(self._engine.unfinished())

    def resume(self, name: str | None = None) -> Stream[Any] | None:
        """Finish one of them: what was said comes first."""
        found = self._runner.run(self._engine.resume(name))
        return Stream(found, self._runner) if found else None

    def forget(self, name: str) -> None:
        """Delete one of them."""
        self._runner.run(self._engine.forget(name))

    def recover(self) -> None:
        """Start again after the device was lost."""
        self._runner.run(self._engine.recover())

    def unload(self) -> None:
        """Free everything."""
        if not self._unloaded:
            self._unloaded = True
            self._runner.run(self._engine.unload())
            if self._first:
                self._runner.close()


class Chat:
    """``engine.chat``."""

    def __init__(self, engine: asynchronous.Engine, runner: Runner):
        self.completions = ChatCompletions(engine.chat.completions, runner)


class ChatCompletions:
    """``engine.chat.completions``."""

    def __init__(self, resource: Any, runner: Runner):
        self._resource, self._runner = resource, runner

    @overload
    def create(self, /, *, stream: Literal[True], **fields: Any) -> Stream[ChatCompletionChunk]: ...
    @overload
    def create(self, /, **fields: Any) -> ChatCompletion: ...
    def create(self, /, **fields: Any) -> ChatCompletion | Stream[ChatCompletionChunk]:
        """Answer a conversation; with ``stream=True`` an iterator of the answer's pieces."""
        return created(self._resource, self._runner, fields)  # type: ignore[no-any-return]


class Completions:
    """``engine.completions``."""

    def __init__(self, resource: Any, runner: Runner):
        self._resource, self._runner = resource, runner

    @overload
    def create(self, /, *, stream: Literal[True], **fields: Any) -> Stream[Completion]: ...
    @overload
    def create(self, /, **fields: Any) -> Completion: ...
    def create(self, /, **fields: Any) -> Completion | Stream[Completion]:
        """Go on with a text; with ``stream=True`` an iterator of the answer's pieces."""
        return created(self._resource, self._runner, fields)  # type: ignore[no-any-return]


class Embeddings:
    """``engine.embeddings``."""

    def __init__(self, resource: Any, runner: Runner):
        self._resource, self._runner = resource, runner

    def create(self, /, **fields: Any) -> CreateEmbeddingResponse:
        """Turn texts into vectors."""
        return created(self._resource, self._runner, fields)  # type: ignore[no-any-return]


def created(resource: Any, runner: Runner, fields: dict[str, Any]) -> Any:
    """What a resource answers, a stream as an iterator."""
    answer = runner.run(resource.create(**fields))
    return Stream(answer, runner) if hasattr(answer, "__anext__") else answer
