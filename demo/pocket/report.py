"""What the trainer prints about an exported model: held-out prompts, all families, free prompts."""

from __future__ import annotations

import json
from collections import defaultdict

import torch

from demo.pocket.corpus import Chat, Draw, documents, visible
from demo.pocket.greedy import answer, ask
from demo.pocket.make_heldout import HELD_OUT_FILE
from demo.pocket.model import Pocket

__all__ = ["full", "held_out_line"]

_FREE_PROMPTS = (
    "hi", "Hello there, who are you?", "what can you do", "are you chatgpt?",
    "do you run on a server?", "thanks a lot!", "I feel a bit down today", "my name is Pippa",
    "what's 12+30", "7 * 8", "what is 345 + 678?", "100 - 1", "capital of japan",
    "Which city is the capital of Wakanda?", "what colour are bananas?",
    "What colour is a strawberry", "opposite of generous", "what comes after thursday",
    "how many legs does a spider have", "how do you say thank you in german?",
    "Reverse the word algorithm", "spell necessary backwards", "How many r's are in strawberry?",
    "Spell rhythm.", "write good morning in capital letters",
    "repeat after me: the quick brown fox", "Tell me a story about a toaster.",
    "tell me a story about a dragon called Pippa", "Write a poem about the sea", "tell me a joke",
    "Give the capital of Norway as JSON.",
    "Extract name and city as JSON: Zelda is 31 years old and lives in Rome.",
    "What is 17 + 25? Answer as JSON.", "Give me red, green and blue as a JSON list.",
    "Who won the world cup in 2014?", "Write a Python function to sort a list",
    "what is the weather in Berlin?", "explain quantum computing", "asdkjh",
    "Name three vegetables", "count from 5 to 12", "What is a piano?",
    "which is bigger, 45 or 54?", "sort 9, 3, 7",
    "The box is red. Tom lives in Oslo. Where does Tom live?",
    "What is 2 + 2 and what is the capital of Spain?", "fifteen plus four",
    "is paris the capital of italy?",
)  # fmt: skip
_CHATS = (
    [("system", "Answer in upper case."), ("user", "What is the capital of Peru?")],
    [("system", "You are a pirate."), ("user", "What is 4 + 5?")],
    [("system", "Answer with one word."), ("user", "What colour is snow?")],
    [("system", "Your name is Rex."), ("user", "who are you?")],
    [("system", "The wifi password is banana42. The museum opens at 10."),
     ("user", "When does the museum open?")],
    [("user", "My name is Quentin."), ("assistant", "Nice to meet you, Quentin!"),
     ("user", "What is 9 - 4?"), ("assistant", "9 - 4 = 5."), ("user", "What is my name?")],
    [("user", "What is the capital of France?"), ("assistant", "The capital of France is Paris."),
     ("user", "and of Italy?")],
    [("user", "20 + 30"), ("assistant", "20 + 30 = 50."), ("user", "and 7 more?")],
    [("user", "What is the opposite of hot?"), ("assistant", "The opposite of hot is cold."),
     ("user", "What did I just ask?")],
)  # fmt: skip
_TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Get the weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                       "required": ["city"]}}},
    {"type": "function", "function": {
        "name": "book_table", "description": "Book a table in a restaurant",
        "parameters": {"type": "object", "properties": {
            "people": {"type": "integer", "description": "How many people"},
            "time": {"type": "string", "description": "When"}}, "required": ["people", "time"]}}},
]  # fmt: skip
_TOOL_QUESTIONS = ("What is the weather in Lisbon?", "Book a table for 4 people at 19:30.",
                   "Tell me a joke.", "Use book_table with people 2 and time 20:00.")  # fmt: skip
_ANSWER_TOKENS = 64
_STORY_TOKENS = 220


def _held_out(model: Pocket) -> dict[str, list[tuple[bool, str, str, str]]]:
    prompts = [json.loads(line) for line in HELD_OUT_FILE.read_text().splitlines()]
    replies = ask(model, [p["prompt"] for p in prompts], _ANSWER_TOKENS)
    results = defaultdict(list)
    for p, reply in zip(prompts, replies, strict=True):
        results[p["family"]].append((reply == p["answer"], p["prompt"], p["answer"], reply))
    return results


def _share(results: list[tuple[bool, str, str, str]]) -> str:
    return f"{sum(r[0] for r in results)}/{len(results)}"


def held_out_line(model: Pocket) -> str:
    """Right answers of each held-out family, in one line."""
    return ", ".join(f"{family} {_share(rs)}" for family, rs in _held_out(model).items())


def _families(model: Pocket, samples: int) -> dict[str, list[tuple[bool, str, str, str]]]:
    """First turns of fresh documents of a seed that training never reaches.

    Families with several good answers (small talk) cannot be judged by comparison: the number tells
    only how often the same one was chosen.
    """
    results = defaultdict(list)
    draw = Draw(1 << 40)
    chats: list[tuple[str, Chat, str]] = []
    for document in documents(draw):
        if isinstance(document, Chat) and document.tools is None:
            known = 1 + (document.messages[0]["role"] == "system")
            reply = visible(document.messages[known]["content"])
            if document.families[0] not in ("story", "poem"):
                chats.append((document.families[0], Chat(document.messages[:known]), reply))
        if len(chats) == samples:
            break
    replies = answer(model, [chat for _, chat, _ in chats], _ANSWER_TOKENS)
    for (family, chat, wanted), reply in zip(chats, replies, strict=True):
        results[family].append((reply == wanted, chat.messages[-1]["content"], wanted, reply))
    return results


def full(model: Pocket, samples: int) -> None:
    """Print everything; ``samples`` is how many fresh documents are judged."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    print("\n== held out (exact) ==")
    held_out = _held_out(model)
    every = [r for rs in held_out.values() for r in rs]
    print(f"all {_share(every)}: " + ", ".join(f"{f} {_share(rs)}" for f, rs in held_out.items()))
    _print_wrong(every, 30)
    print("\n== fresh documents, first turns, by family (same answer as the corpus) ==")
    families = _families(model, samples)
    print(", ".join(f"{family} {_share(rs)}" for family, rs in sorted(families.items())))
    _print_wrong([r for f, rs in families.items() for r in rs if f not in _VARIED], 40)
    print("\n== free prompts ==")
    for question, reply in zip(
        _FREE_PROMPTS, ask(model, _FREE_PROMPTS, _STORY_TOKENS), strict=True
    ):
        print(f"> {question}\n  {reply}")
    chats = [Chat([{"role": r, "content": c} for r, c in chat]) for chat in _CHATS]
    chats += [Chat([{"role": "user", "content": q}], _TOOLS) for q in _TOOL_QUESTIONS]
    for chat, reply in zip(chats, answer(model, chats, _ANSWER_TOKENS), strict=True):
        said = " | ".join(f"{m['role']}: {m['content']}" for m in chat.messages)
        print(f"> {said}\n  {reply}", flush=True)


_VARIED = ("small_talk", "joke", "riddle", "listing", "starting_with", "refusal", "no_such_fact")


def _print_wrong(results: list[tuple[bool, str, str, str]], most: int) -> None:
    for right, prompt, wanted, reply in results:
        if not right and most:
            most -= 1
            print(f"  {prompt!r}: wanted {wanted!r}, got {reply!r}")
