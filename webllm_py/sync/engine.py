"""The engine of scripts. Methods that only wait are made from the asynchronous ones, with their
arguments, types and documentation."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from webllm_py import engine as asynchronous
from webllm_py.sync.resources import Chat, Completions, Embeddings, Stream
from webllm_py.sync.runners import Runner, new_runner
from webllm_py.tokenizer import Tokenizer

if TYPE_CHECKING:
    from webllm_py.runtime.lora.adapters import LoadedAdapter

__all__ = ["Engine", "load"]

P = ParamSpec("P")
ResultT = TypeVar("ResultT")


def waits_for(
    method: Callable[Concatenate[asynchronous.Engine, P], Coroutine[Any, Any, ResultT]],
) -> Callable[Concatenate[Engine, P], ResultT]:
    """A method that returns once the asynchronous one is done."""

    @wraps(method)
    def call(self: Engine, /, *args: P.args, **kwargs: P.kwargs) -> ResultT:
        return self._runner.run(method(self._engine, *args, **kwargs))

    return call


def begins(
    load: Callable[P, Coroutine[Any, Any, asynchronous.Engine]],
) -> Callable[P, Engine]:
    """A function that returns an engine with an event loop of its own."""

    @wraps(load)
    def call(*args: P.args, **kwargs: P.kwargs) -> Engine:
        runner = new_runner()
        try:
            return Engine(runner.run(load(*args, **kwargs)), runner)
        except BaseException:
            runner.close()
            raise

    return call


def adds(
    method: Callable[Concatenate[asynchronous.Engine, P], Coroutine[Any, Any, asynchronous.Engine]],
) -> Callable[Concatenate[Engine, P], Engine]:
    """A method that returns another engine, on the event loop of the first."""

    @wraps(method)
    def call(self: Engine, /, *args: P.args, **kwargs: P.kwargs) -> Engine:
        added = self._runner.run(method(self._engine, *args, **kwargs))
        return Engine(added, self._runner, first=False)

    return call


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

    def __repr__(self) -> str:
        return f"sync.{self._engine!r}"

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

    @property
    def waiting(self) -> int:
        """Number of requests of other threads that are queued."""
        return self._engine.waiting

    @property
    def answering(self) -> int:
        """Number of requests that are being answered."""
        return self._engine.answering

    @property
    def adapters(self) -> Mapping[str, LoadedAdapter]:
        """The adapters that are loaded."""
        return self._engine.adapters

    @property
    def models(self) -> dict[str, Engine]:
        """Its models by name, its own first."""
        return {
            name: self if engine is self._engine else Engine(engine, self._runner, first=False)
            for name, engine in self._engine.models.items()
        }

    def interrupt(self) -> None:
        """End the answer under way; to be called from another thread than the one that waits."""
        self._engine.interrupt()

    add_model = adds(asynchronous.Engine.add_model)
    load_adapter = waits_for(asynchronous.Engine.load_adapter)
    unload_adapter = waits_for(asynchronous.Engine.unload_adapter)
    logits = waits_for(asynchronous.Engine.logits)
    inspect = waits_for(asynchronous.Engine.inspect)
    logit_lens = waits_for(asynchronous.Engine.logit_lens)
    save_state = waits_for(asynchronous.Engine.save_state)
    load_state = waits_for(asynchronous.Engine.load_state)
    fork = waits_for(asynchronous.Engine.fork)
    rewind = waits_for(asynchronous.Engine.rewind)
    unfinished = waits_for(asynchronous.Engine.unfinished)
    forget = waits_for(asynchronous.Engine.forget)
    recover = waits_for(asynchronous.Engine.recover)

    @contextmanager
    def steer(self, vectors: Mapping[int, Any]) -> Iterator[None]:
        """Add vectors to the outputs of layers; see ``webllm_py.Engine.steer``."""
        steering = self._engine.steer(vectors)
        self._runner.run(steering.__aenter__())
        try:
            yield
        finally:
            self._runner.run(steering.__aexit__(None, None, None))

    def resume(self, name: str | None = None) -> Stream[Any] | None:
        """Finish an answer that was cut off; see ``webllm_py.Engine.resume``."""
        found = self._runner.run(self._engine.resume(name))
        return Stream(found, self._runner) if found else None

    def unload(self) -> None:
        """Free everything."""
        if not self._unloaded:
            self._unloaded = True
            self._runner.run(self._engine.unload())
            if self._first:
                self._runner.close()


load = begins(asynchronous.load)
