"""Greedy answers of the PyTorch model, many prompts at once, for the trainer's own report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from demo.pocket.bpe import BytePairEncoding
from demo.pocket.chat_format import END, START, segments
from demo.pocket.corpus import Chat
from demo.pocket.model import Pocket

__all__ = ["answer", "ask"]


@torch.no_grad()
def answer(model: Pocket, chats: Sequence[Chat], max_tokens: int) -> list[str]:
    """The model's reply to each chat, whose last message is the user's (or a tool's).

    The whole text is run again for every token: without a cache it is short code, and fast enough.
    """
    bpe = BytePairEncoding()
    end = bpe.special[END]
    device = model.token_embd.weight.device
    prompts = [bpe.encode(_prompt(chat)) for chat in chats]
    longest = max(map(len, prompts)) + max_tokens
    if longest > model.config.context:
        raise ValueError(f"prompt and answer have {longest} tokens, more than the context")
    tokens = torch.full((len(prompts), longest), end, device=device)
    for i, prompt in enumerate(prompts):
        tokens[i, : len(prompt)] = torch.tensor(prompt, device=device)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    everyone = torch.arange(len(prompts), device=device)
    done = torch.zeros_like(lengths, dtype=torch.bool)
    causal = torch.ones(longest, longest, dtype=torch.bool, device=device).tril()
    for _ in range(max_tokens):
        used = int(lengths.max())
        hidden = model.hidden(tokens[:, :used], causal[:used, :used])
        best = model.logits(hidden[everyone, lengths - 1]).argmax(-1)
        done |= best == end
        tokens[everyone, lengths] = torch.where(done, tokens[everyone, lengths], best)
        lengths += ~done
        if bool(done.all()):
            break
    return [
        bpe.decode(row[len(prompt) : length])
        for row, prompt, length in zip(tokens.tolist(), prompts, lengths.tolist(), strict=True)
    ]


def _prompt(chat: Chat) -> str:
    return "".join(text for text, _ in segments(chat)) + f"{START}assistant\n"


def ask(model: Pocket, questions: Sequence[str], max_tokens: int) -> list[str]:
    """Replies to single questions."""
    messages: list[list[dict[str, Any]]] = [[{"role": "user", "content": q}] for q in questions]
    return answer(model, [Chat(m) for m in messages], max_tokens)
