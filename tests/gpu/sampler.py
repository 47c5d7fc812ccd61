"""The two sampling kernels as tests run them, and their draws in numpy."""

from __future__ import annotations

import numpy as np
from runners import Runner

from webllm_py.gpu.kernels import kernel

__all__ = [
    "DRAWN",
    "ROWS_AT",
    "SLOT",
    "Sampler",
    "allowed",
    "chance",
    "gumbel",
    "settings",
    "step_words",
]

ROWS_AT, RING = 4, 64


def settings(
    *,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    seed: int = 0,
    repetition: float = 1.0,
    frequency: float = 0.0,
    presence: float = 0.0,
    flags: int = 0,
    masks: int = 2**32 - 1,
    typical_p: float = 1.0,
    xtc: tuple[float, float] = (0.0, 0.1),
    mirostat: tuple[float, float] = (0.0, 0.1),
) -> np.ndarray:
    words = np.zeros(16, np.uint32)
    floats = words.view(np.float32)
    floats[0], words[1], floats[2], floats[3] = temperature, top_k, top_p, min_p
    words[4], words[5] = seed & 0xFFFFFFFF, seed >> 32
    floats[6], floats[7], floats[8] = repetition, frequency, presence
    words[9], words[10] = flags, masks
    floats[11], floats[12:14], floats[14:16] = typical_p, xtc, mirostat
    return words


SLOTS, SLOT, DRAWN = 4, 3, 7
ONLY = 1 << 31  # of a mask: the rest is the only token


def step_words(position: int) -> np.ndarray:
    """Two rows, the second at ``position`` of a slot that drew tokens, and one past the end."""
    step = np.zeros(ROWS_AT + 12, np.uint32)
    step[0] = 2
    step[ROWS_AT : ROWS_AT + 4] = (5, 90, 1, 2)
    step[ROWS_AT + 4 : ROWS_AT + 8] = (0, position, SLOT, DRAWN)
    step[ROWS_AT + 8 :] = (0, 0, 2, 0)
    return step


def of_slot(values: np.ndarray) -> np.ndarray:
    """An array of the slot's, and others in the other slots."""
    return np.concatenate([np.roll(values, 1), values[::-1], np.roll(values, 2), values])


class Sampler:
    """Runs both kernels on three rows of logits, of which the second one is looked at."""

    def __init__(self, runner: Runner, vocab: int, items: int = 2, threads: int = 64):
        self.runner, self.vocab, self.groups = runner, vocab, -(-vocab // (items * threads))
        self.padded = -(-vocab // 4) * 4
        snippets = {
            "settings": "sample/settings",
            "best": "sample/best",
            "gumbel": "sample/gumbel",
        }
        self.prepare = kernel(
            "sample_prepare",
            snippets=snippets,
            VOCAB=vocab,
            ITEMS=items,
            THREADS=threads,
            STEP_ROWS=ROWS_AT,
        )
        self.select = kernel(
            "sample_select",
            snippets=snippets,
            VOCAB=vocab,
            WINNERS=self.groups,
            RING=RING,
            SLOTS=SLOTS,
            STEP_ROWS=ROWS_AT,
        )

    async def scaled(
        self,
        logits: np.ndarray,
        words: np.ndarray,
        counts: np.ndarray | None = None,
        bias: np.ndarray | None = None,
        position: int = 5,
        allowed: np.ndarray | int | None = None,
    ) -> dict[str, np.ndarray]:
        vocab = self.vocab
        mask = np.zeros(-(-vocab // 32) * 32, bool)
        mask[:vocab] = True if allowed is None else allowed
        begins = SLOTS + mask.size // 32 * np.arange(SLOTS, dtype=np.uint32)
        if isinstance(allowed, int):
            begins[SLOT] = ONLY | allowed
            mask[:] = np.arange(mask.size) != allowed
        out = await self.runner.run(
            self.prepare,
            {
                "logits": np.stack([logits[::-1], logits, logits + 1]).astype(np.float32),
                "settings": np.concatenate([settings()] * 3 + [words]),
                "counts": of_slot(np.zeros(vocab, np.uint32) if counts is None else counts),
                "bias": of_slot(np.zeros(vocab, np.float32) if bias is None else bias),
                "scaled": np.full((3, self.padded), 99, np.float32),
                "winners": np.zeros((3, self.groups, 2), np.uint32),
                "step": step_words(position),
                "masks": np.concatenate(
                    [begins, of_slot(np.packbits(mask, bitorder="little").view(np.uint32))]
                ),
            },
            (self.groups, 3),
        )
        assert (out["scaled"][2] == 99).all()
        return {"scaled": out["scaled"][1, :vocab], "all": out["scaled"], **out_but(out, "scaled")}

    async def draw(
        self, prepared: dict[str, np.ndarray], words: np.ndarray, position: int = 5, mu: float = 0.0
    ) -> dict[str, np.ndarray]:
        out = await self.runner.run(
            self.select,
            {
                "scaled": prepared["all"],
                "settings": np.concatenate([settings()] * 3 + [words]),
                "winners": prepared["winners"],
                "counts": np.zeros((SLOTS, self.vocab), np.uint32),
                "step": step_words(position),
                "candidates": np.zeros((3, self.vocab, 2), np.uint32),
                "ring": np.zeros((RING, SLOTS), np.uint32),
                "mirostat": np.full(SLOTS, mu, np.float32),
            },
            (3,),
        )
        assert not out["counts"][[0, 2]].any() and not out["ring"][:, [0, 2]].any()
        return {
            "counts": out["counts"][SLOT],
            "ring": out["ring"][:, SLOT],
            "step": out["step"],
            "beside": out["ring"][:, 1],
            "mirostat": out["mirostat"],
        }


def out_but(out: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {key: array for key, array in out.items() if key != name}


def allowed(logits: np.ndarray, top_k: int, top_p: float, min_p: float) -> np.ndarray:
    """Top-k, top-p over what it left, min-p: which tokens may be drawn (float64)."""
    z = logits.astype(np.float64)
    order = np.argsort(-z, kind="stable")
    keep = np.ones(len(z), bool)
    if top_k:
        keep &= z >= z[order[min(top_k, len(z)) - 1]]
    p = np.where(keep, np.exp(z - z.max()), 0)
    if top_p < 1:
        mass = np.cumsum(p[order]) / p.sum()
        keep &= z >= z[order[int(np.argmax(mass >= top_p))]]
    return keep & (z >= z.max() + np.log(max(min_p, 1e-300)))


def hashed(token: np.ndarray, position: int, seed: int) -> np.ndarray:
    """Four words for each token at a position (PCG4D)."""
    v = np.stack(
        np.broadcast_arrays(
            token.astype(np.uint32),
            np.uint32(position),
            np.uint32(seed & 0xFFFFFFFF),
            np.uint32(seed >> 32),
        )
    ).astype(np.uint32)
    with np.errstate(over="ignore"):
        v = v * np.uint32(1664525) + np.uint32(1013904223)
        for last in (False, True):
            v[0] += v[1] * v[3]
            v[1] += v[2] * v[0]
            v[2] += v[0] * v[1]
            v[3] += v[1] * v[2]
            if not last:
                v ^= v >> np.uint32(16)
    return v


def gumbel(token: np.ndarray, position: int, seed: int) -> np.ndarray:
    """The kernel's noise, in numpy."""
    v = hashed(token, position, seed)
    t = (v[0] >> 8) * 2.0**-24 + (v[1] >> 8) * 2.0**-48 + 2.0**-49
    return -np.log(-np.log1p(-t))


def chance(position: int, seed: int) -> float:
    """A number from 0 to 1 for a position."""
    return float(hashed(np.array([2**32 - 1], np.uint32), position, seed)[0, 0] >> 8) * 2.0**-24
