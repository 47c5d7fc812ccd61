r"""Pre-tokenizer patterns by the names that GGUF's ``tokenizer.ggml.pre`` gives them.

Each is the pattern list of the model's own tokenizer; where GGUF runners approximate one (for want
of classes such as ``\p{Lu}``), the original stands here. A list is applied pattern after pattern,
each splitting the pieces that the one before has left, matches and gaps alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from webllm_py.errors import UnsupportedModelError
from webllm_py.tokenizer.pretokenizers import PreTokenizer, Split, sequence
from webllm_py.tokenizer.regex import compile_pattern

__all__ = ["PROFILES", "Profile", "profile_named"]


@dataclass(frozen=True)
class Profile:
    """How a family of byte-level BPE tokenizers behaves, where its files do not say so.

    Attributes:
        patterns: see the module.
        whole_words: a word that is a token is taken without merging (``ignore_merges``).
        add_bos: BOS is put before the text unless the checkpoint says otherwise.
    """

    patterns: tuple[str, ...]
    whole_words: bool = False
    add_bos: bool = False

    def pre_tokenizer(self) -> PreTokenizer:
        """The splits, compiled."""
        return sequence([Split(compile_pattern(pattern)) for pattern in self.patterns])


_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_LINES_AND_SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def _words_numbers_signs(numbers: str, *, contractions: str = _CONTRACTIONS + "|") -> str:
    """The pattern that began with OpenAI's cl100k; models differ in how they take digits."""
    return (
        contractions
        + r"[^\r\n\p{L}\p{N}]?\p{L}+|"
        + numbers
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
        + _LINES_AND_SPACES
    )


_LLAMA3 = _words_numbers_signs(r"\p{N}{1,3}")
_QWEN2 = _words_numbers_signs(r"\p{N}")


def _cased_words(numbers: str, *, contractions: str = _CONTRACTIONS + "?") -> str:
    """OpenAI's o200k and its kin: words also end where lower case turns to upper case."""
    upper, lower = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    lead = r"[^\r\n\p{L}\p{N}]?"
    return (
        f"{lead}{upper}*{lower}+{contractions}|{lead}{upper}+{lower}*{contractions}|"
        + numbers
        + r"| ?[^\s\p{L}\p{N}]+[\r\n/]*"
        + _LINES_AND_SPACES
    )


_DEEPSEEK3_WORDS = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*" + _LINES_AND_SPACES
)
_DEEPSEEK3 = (r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", _DEEPSEEK3_WORDS)
_EAST_ASIAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"

# The letters with case that DeepSeek LLM's tokenizer lists one by one.
_DEEPSEEK_LETTERS = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293"
    "\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c"
    "\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5"
    "\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"
    "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59"
    "\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc"
    "\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107"
    "\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139"
    "\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee"
    "\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e"
    "\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f"
    "\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2"
    "\U000118a0-\U000118df\U0001e900-\U0001e943"
)

_BLOOM = " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"
_WHITE_SPACE_STEPS = "|".join(
    [rf"\s{{{count}}}(?!\S)" for count in (512, 256, 128, 64, 32, 16, 8, 4)]
    + [r"\s{1,2}(?!\S)", r"\s{1}"]
)

_BY_NAMES: dict[tuple[str, ...], Profile] = {
    # What llama.cpp does where a file names no pre-tokenizer.
    ("default",): Profile((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]")),
    (
        *("gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4"),
        *("gigachat", "mellum", "modern-bert", "a.x-4.0", "jina-es", "jina-de"),
        *("jina-v2-es", "jina-v2-de", "jina-v1-en", "jina-v2-code", "roberta-bpe"),
    ): Profile((_GPT2,)),
    (
        *("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0"),
        *("lfm2", "jina-v5-nano"),
    ): Profile((_LLAMA3,), whole_words=True, add_bos=True),
    ("dbrx", "smaug-bpe", "chatglm-bpe"): Profile((_LLAMA3,)),
    ("glm4", "glm5"): Profile((_LLAMA3,), whole_words=True),
    (
        *("qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan"),
        *("solar-open", "grok-2"),
    ): Profile((_QWEN2,)),
    ("qwen35",): Profile(
        (
            _CONTRACTIONS
            + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
            + _LINES_AND_SPACES,
        )
    ),
    ("ufakzeka",): Profile((_words_numbers_signs(r"\p{N}", contractions=""),)),
    ("laguna",): Profile((r"[^\n]+|[\n]+", _QWEN2)),
    ("minicpm5",): Profile((r"\p{N}{1,3}", _words_numbers_signs(r"\p{N}+")), whole_words=True),
    ("jais-2",): Profile(
        (_LLAMA3.removesuffix(r"|\s+(?!\S)|\s+") + "|" + _WHITE_SPACE_STEPS,),
    ),
    ("seed-coder",): Profile(
        (
            _CONTRACTIONS
            + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+"
            + _LINES_AND_SPACES,
        )
    ),
    ("bailingmoe", "bailingmoe2", "llada-moe"): Profile(
        (
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
            r"|\s*[\r\n]|\s+(?!\S)|\s+",
        )
    ),
    ("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"): Profile(
        (_cased_words(r"\p{N}{1,3}"),)
    ),
    ("tekken",): Profile(
        (_cased_words(r"\p{N}", contractions=""),), whole_words=True, add_bos=True
    ),
    ("deepseek-llm",): Profile(
        (
            r"[\r\n]",
            rf"\s?[{_DEEPSEEK_LETTERS}]+",
            "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
            r"\s+$",
            _EAST_ASIAN,
            r"\p{N}+",
        )
    ),
    ("deepseek-coder",): Profile(
        (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _EAST_ASIAN, r"\p{N}"),
    ),
    ("deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"): Profile(_DEEPSEEK3),
    ("youtu",): Profile(
        (
            "[\uac00-\ud7a3\u3131-\u318e]+"
            "|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+"
            "|[\u3105-\u312f]+|[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
            _cased_words(r"\p{N}"),
        ),
        whole_words=True,
    ),
    ("falcon",): Profile((r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, "[0-9][0-9][0-9]")),
    (
        *("starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b"),
        "mellum2",
    ): Profile((r"\p{N}", _GPT2)),
    ("bloom", "poro-chat", "gpt3-finnish"): Profile((_BLOOM,)),
    ("viking",): Profile((_BLOOM, r"\p{N}")),
}

PROFILES: dict[str, Profile] = {
    name: profile for names, profile in _BY_NAMES.items() for name in names
}


def profile_named(name: str) -> Profile:
    """The profile of a ``tokenizer.ggml.pre`` value.

    Raises:
        UnsupportedModelError: the name is not known.
    """
    if name not in PROFILES:
        raise UnsupportedModelError(
            f"the checkpoint's pre-tokenizer {name!r} is not known to this version; "
            f"known are: {', '.join(sorted(PROFILES))}"
        )
    return PROFILES[name]
