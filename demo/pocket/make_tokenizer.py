"""Train the tokenizer on a sample of the corpus: ``python -m demo.pocket.make_tokenizer``.

Needs Hugging Face's ``tokenizers``. The result, ``tokenizer.json``, is kept in the repository, so
this runs only when the corpus has changed enough to want other tokens.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from demo.pocket.bpe import TOKENIZER_FILE
from demo.pocket.chat_format import SPECIAL_TOKENS, segments
from demo.pocket.corpus import LETTERS_OFF, LETTERS_ON, Draw, documents, visible


def _texts(seed: int, count: int) -> Iterator[str]:
    """Segments without special tokens and without marked letters, which use no merges."""
    for document in islice(documents(Draw(seed)), count):
        for text, _ in segments(document):
            for special in SPECIAL_TOKENS:
                text = text.replace(special, "")
            if LETTERS_ON not in text and LETTERS_OFF not in text:
                yield visible(text)


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=2048, help="tokens in all")
    parser.add_argument("--documents", type=int, default=150_000)
    parser.add_argument("--seed", type=int, default=2048)
    options = parser.parse_args()
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    # Digits are split off for training only: no merge then holds one, and at use none is needed.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), byte_level]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=options.size - len(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(options.seed, options.documents), trainer)
    tokenizer.pre_tokenizer = byte_level
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in SPECIAL_TOKENS])
    tokenizer.save(str(TOKENIZER_FILE), pretty=False)
    print(f"{TOKENIZER_FILE.name}: {tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
