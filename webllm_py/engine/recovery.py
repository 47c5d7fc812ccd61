"""How an engine goes on when its device is lost: it loads the model again, and requests that were
being answered wait for that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from webllm_py.engine.core import UNLOADED, EngineCore
from webllm_py.engine.generation import MOST_LOSSES
from webllm_py.errors import DeviceLostError, EngineClosedError, WebLLMError
from webllm_py.loading import LoadedModel, LoadOptions, load_model
from webllm_py.runtime.executor import Executor

if TYPE_CHECKING:
    from webllm_py.gpu import Device
    from webllm_py.loading.embedder import LoadedEmbedder

__all__ = ["RecoveryMixin"]

ResultT = TypeVar("ResultT")
logger = logging.getLogger(__name__)


class RecoveryMixin(EngineCore):
    """The part of ``Engine`` that loads its model again on a new device, and frees it."""

    _reviving: asyncio.Task[None] | None = None

    async def recover(self) -> None:
        """Load the model again, on a new device if the old one is lost.

        An engine does so by itself when a request finds the device lost; call this where that
        failed.

        Raises:
            DeviceLostError: the device was not opened by ``load`` but given to it.
            WebLLMError: as ``load`` does; then it can be tried again.
        """
        async with self._queue.join(stays=True):
            if self._unloaded:
                raise EngineClosedError(UNLOADED)
            await self._load_again(self._options)

    async def unload(self) -> None:
        """Free the model. Answers under way are interrupted; queued requests get an
        ``EngineClosedError``."""
        self._unloaded = True
        self._queue.reject_waiting(
            EngineClosedError("the model was unloaded before this request's turn came")
        )
        self._queue.interrupt(every=True)
        if self._reviving:
            self._reviving.cancel()
        async with self._queue.join(stays=True):
            if self._reviving:
                await asyncio.gather(self._reviving, return_exceptions=True)
            model, self._model = self._model, None
            if model:
                await model.close()

    async def _load_again(self, options: LoadOptions) -> None:
        """Close the model and load it again. No request may be using it, unless its device is
        lost."""
        before, loaded = self._model, None
        try:
            if before:
                await before.close()
            loaded = self._model = await load_model(options, self._device)
            await self._restore()
        except BaseException:
            self._model = None
            if loaded:
                await loaded.close()
            raise

    async def _revived(self, lost: Device) -> LoadedModel | LoadedEmbedder:
        """The model on a device that is not ``lost``: the first caller to find that loads it
        again, and the others wait for the same load.

        Raises:
            DeviceLostError: it could not be loaded, or this device was given to ``load``.
            EngineClosedError: the model was unloaded meanwhile.
        """
        if self._unloaded:
            raise EngineClosedError(UNLOADED)
        if self._model and self._model.owner.device is lost:
            self._device.check()
            if self._reviving is None or self._reviving.done():
                self._reviving = asyncio.ensure_future(self._revive())
        reviving = self._reviving
        if reviving and not reviving.done():
            # Not awaited directly: cancelling one caller must not cancel it for the others.
            await asyncio.wait([reviving])
            if reviving.cancelled():
                raise EngineClosedError(UNLOADED)
            if error := reviving.exception():
                raise error
        return self.any_loaded

    async def _revive(self) -> None:
        logger.warning("the GPU device was lost: the model is loaded again")
        options = replace(self._options, on_progress=None)  # nobody asked for this load
        for losses in range(1, MOST_LOSSES + 1):
            try:
                await self._load_again(options)
                return
            except DeviceLostError:
                if losses == MOST_LOSSES:
                    raise
            except WebLLMError as error:
                raise DeviceLostError(
                    f"the GPU device was lost, and loading the model again failed: {error}"
                ) from error

    async def _executor_after(self, lost: Device) -> Executor:
        """The executor of a language model, after ``_revived``."""
        model = await self._revived(lost)
        assert isinstance(model, LoadedModel)
        return model.executor

    async def _surviving(self, work: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """The result of ``work``, which is done again if the device is lost meanwhile."""
        for _ in range(MOST_LOSSES):
            device = self.any_loaded.owner.device
            try:
                return await work()
            except DeviceLostError:
                await self._revived(device)
        return await work()
