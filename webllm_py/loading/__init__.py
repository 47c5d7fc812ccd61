"""From a source to a model that is ready to run: files, tokenizer, GPU, weights, kernels."""

from __future__ import annotations

from webllm_py.loading.load import load_model, pocket_model
from webllm_py.loading.loaded import LoadedModel
from webllm_py.loading.options import LoadOptions
from webllm_py.loading.shared_device import SharedDevice

__all__ = ["LoadOptions", "LoadedModel", "SharedDevice", "load_model", "pocket_model"]
