"""The pass of a vision tower over a tile, and of what joins it to a text model."""

from __future__ import annotations

from dataclasses import dataclass

from webllm_py.gpu.device import Buffer, Device, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.models.activations import padded
from webllm_py.models.encoder_layers import LayerBuffers, Layers, tiles_of
from webllm_py.models.move_rows import move_rows
from webllm_py.models.tuning import Tuning
from webllm_py.models.vision.config import VisionConfig
from webllm_py.models.weights import Weights

__all__ = ["VisionBuffers", "VisionGraph", "patch_columns"]


@dataclass(frozen=True)
class VisionBuffers(LayerBuffers):
    """What a tile's pass works in.

    Shapes, float32 unless said, rows padded to whole blocks of 32: features
    (tiles * patches, hidden), joined (joint rows, ``VisionConfig.joined``), projected
    (joint rows, text hidden), widened as the latter, or as joined where that is normed. ``inner``
    holds patches at first. ``corner``: where a tile is, kernels/patches.wgsl. ``kept``, ``joints``,
    ``placed``: maps of kernels/move_rows.wgsl.
    """

    features: Buffer
    joined: Buffer
    widened: Buffer
    projected: Buffer
    corner: Buffer
    kept: Buffer
    joints: Buffer
    placed: Buffer


def patch_columns(config: VisionConfig) -> int:
    """Numbers of a patch."""
    return 3 * config.patch**2


class VisionGraph(Layers):
    """Collects the dispatches of one pass.

    Args:
        rows: of a tile, or of the text model's that are made at once: what a GEMM takes.
    """

    buffers: VisionBuffers

    def __init__(
        self,
        rows: int,
        *,
        config: VisionConfig,
        weights: Weights,
        buffers: VisionBuffers,
        device: Device,
        tuning: Tuning,
    ):
        super().__init__(
            rows,
            tiles_of(config.length),
            shape=config,
            weights=weights,
            buffers=buffers,
            device=device,
            tuning=tuning,
        )
        self.config = config

    def embed(self) -> None:
        """hidden = the projected patches and their positions, normed if the tower does so."""
        config, buffers = self.config, self.buffers
        target = buffers.summed if config.pre_norm else buffers.hidden
        self.linear("v.patch_embd", buffers.inner, "store", target, padded(config.hidden_size))
        if config.class_token:
            self.look_up("v.class_embd", target)
        self.look_up("v.position_embd", target, 1, add=True)
        if config.pre_norm:
            self.norm("v.pre_ln", buffers.summed, buffers.hidden)

    def layer(self, name: str) -> None:
        """hidden through a layer."""
        buffers = self.buffers
        self.norm(f"{name}.ln1", buffers.hidden, buffers.summed)
        self.attend(f"{name}.qkv", buffers.summed)
        self.add_linear(f"{name}.attn_out", buffers.summed, buffers.hidden)
        self.norm(f"{name}.ln2", buffers.hidden, buffers.summed)
        self.widen(f"{name}.ffn_up", self.config.activation)
        self.add_linear(f"{name}.ffn_down", buffers.inner, buffers.hidden)

    def keep(self) -> None:
        """features = the rows of the patches, normed if the tower does so."""
        config, buffers = self.config, self.buffers
        found = buffers.hidden
        if config.post_norm:
            self.norm("v.post_ln", buffers.hidden, buffers.summed)
            found = buffers.summed
        width = padded(config.hidden_size)
        moved = (found, buffers.tiles, buffers.kept, buffers.features)
        self.dispatches.append(
            move_rows(moved, config.patches, columns=config.hidden_size, strides=(width, width))
        )

    def average(self) -> None:
        """joined = the averages of squares of features."""
        config, buffers = self.config, self.buffers
        width = padded(config.hidden_size)
        made = kernel(
            "average_rows",
            PIECES=config.merge**2,
            COLUMNS=config.hidden_size,
            X_STRIDE=width,
            Y_STRIDE=width,
        )
        bound = {"x": buffers.features, "map": buffers.joints, "y": buffers.joined}
        groups = (-(-config.hidden_size // 256), self.rows, 1)
        self.dispatches.append(Dispatch(made, bound, groups))

    def norm_joined(self, name: str) -> None:
        """widened = RMSNorm of joined."""
        buffers = self.buffers
        self.norm(name, buffers.joined, buffers.widened, centered=False)

    def join(self, separators: Buffer) -> None:
        """joined = squares of features side by side."""
        config, buffers, pieces = self.config, self.buffers, self.config.merge**2
        width = padded(config.hidden_size), padded(pieces * config.hidden_size)
        moved = (buffers.features, separators, buffers.joints, buffers.joined)
        joined = move_rows(
            moved,
            self.rows,
            pieces=pieces,
            columns=config.hidden_size,
            strides=width,
            more_stride=config.hidden_size,
        )
        self.dispatches.append(joined)

    def project(self, name: str, source: Buffer, target: Buffer, activation: str = "") -> None:
        """target = the projection of source, activated if so said."""
        more = {"activation": f"activation/{activation}"} if activation else {}
        epilogue = "activate" if activation else "store"
        self.linear(name, source, epilogue, target, padded(self.config.text_hidden), more)
