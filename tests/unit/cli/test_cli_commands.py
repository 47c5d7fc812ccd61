"""The commands on a real model, and what all of them have in common."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pseudo_terminal import Terminal

import webllm_py
from webllm_py.checkpoint.gguf_writer import GGUFWriter
from webllm_py.cli import main
from webllm_py.cli.arguments import parse_arguments
from webllm_py.errors import NoAdapterError, WebLLMError
from webllm_py.models.kv_cache import KV_FORMATS
from webllm_py.random_models.gguf import write_random_model
from webllm_py.random_models.shapes import SHAPES

SHARED = Path(__file__).parents[4] / "shared" / "data" / "checkpoints"
CLI = ("-m", "webllm_py")


@pytest.fixture(scope="module")
def stories() -> Iterator[Path]:
    folder = SHARED / "stories260K"
    if not folder.is_dir():
        pytest.skip(f"the test data is missing: {folder}")
    yield folder


@pytest.fixture(scope="module")
async def gpu() -> None:
    """Skips where there is none."""
    try:
        device = await webllm_py.gpu.open_device()
    except NoAdapterError as error:
        pytest.skip(f"no GPU adapter for wgpu: {error}")
    device.close()


def run(*words: str, text: str = "") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, *CLI, *words]
    return subprocess.run(command, input=text.encode(), capture_output=True, timeout=300)


def test_help_and_version_import_no_engine() -> None:
    code = (
        "import sys\n"
        "from webllm_py.cli import main\n"
        "early = {'argparse', 'webllm_py.cli.arguments'} & {*sys.modules}\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    slow = {'asyncio', 'numpy', 'webllm_py.engine', 'webllm_py.models'} & {*sys.modules}\n"
        "    print(end.code, early, slow)"
    )
    for words in (["bench", "--help"], ["--version"]):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
        assert done.stdout.endswith("\n0 set() set()\n"), done
    assert f"webllm-py {webllm_py.__version__}\n" in done.stdout


@pytest.mark.parametrize("module", ["arguments", "info"])
def test_ctrl_c_while_modules_are_imported_is_no_traceback(module: str) -> None:
    code = (
        "import sys\n"
        "from webllm_py.cli import main\n"
        "class Pressed:\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == 'webllm_py.cli.{module}': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Pressed())\n"
        "sys.exit(main(['info']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_context_goes_by_load_s_name_too() -> None:
    for option in ("--context", "--context-length"):
        assert parse_arguments(["chat", option, "64"]).context == 64


def test_the_words_for_a_cache_are_those_of_load() -> None:
    # Written out there: the models' modules take a while to import.
    for dtype in KV_FORMATS:
        assert parse_arguments(["chat", "--kv-dtype", dtype]).kv_dtype == dtype
    assert parse_arguments(["chat"]).kv_dtype in KV_FORMATS


def test_a_chat_template_comes_from_a_file(tmp_path: Path) -> None:
    jinja, mlc = tmp_path / "chat.jinja", tmp_path / "chat.json"
    jinja.write_text("{{ messages }}")
    mlc.write_text('{"seps": ["|"]}')
    for path, template in ((jinja, "{{ messages }}"), (mlc, {"seps": ["|"]})):
        assert parse_arguments(["chat", "--chat-template", str(path)]).chat_template == template


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["sing"],
        ["complete", "--top-q", "1"],
        ["chat", "--context", "0"],
        ["chat", "--quantize", "q3"],
        ["chat", "--chat-template", "nowhere.jinja"],
        ["bench", "--prompt-tokens", "12,x"],
        ["bench", "--shape", "gpt-7"],
    ],
)
def test_wrong_words_end_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    said = capsys.readouterr().err
    name = f"webllm-py {words[0]}" if words[1:] else "webllm-py"
    assert f"{name} --help` lists" in said or "examples:" in said


@pytest.mark.parametrize(
    ("word", "hint"),
    [("--tempereture", "Did you mean --temperature?"), ("--xyz", "--xyz\n"), ("b", "b\n")],
)
def test_an_option_that_is_spelled_wrong(
    word: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["chat", "a", word])
    assert f"unrecognized arguments: {word}" in (said := capsys.readouterr().err)
    assert hint in said


@pytest.mark.parametrize(("columns", "widest"), [("70", 70), ("80", 80), ("200", 96)])
@pytest.mark.parametrize("command", ["chat", "serve"])
def test_help_is_as_wide_as_the_terminal(
    command: str,
    columns: str,
    widest: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit):
        main([command, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert widest - 8 < max(map(len, lines)) <= widest
    assert any(line.startswith("SOURCE is a .gguf file, a Hugging Face folder") for line in lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["complete", "nowhere.gguf", "--prompt", "x"],
            "there is no file or folder 'nowhere.gguf'",
        ),
        (["info", "nowhere.gguf"], "there is no file or folder 'nowhere.gguf'"),
        (["complete", "nowhere.gguf", "--prompt", "x", "--top-p", "2"], "'top_p' must be from 0"),
        (["complete", "--attention-sinks", "3", "--prompt", "x"], "attention_sink_size is of a"),
        (["bench", "nowhere.gguf", "--shape", "tiny"], "give either a SOURCE or a --shape"),
        (["bench", "--format", "q8_0"], "--format and --keep are for random weights"),
        (["bench", "nowhere.gguf", "--tokens", "1"], "tokens must be at least 2"),
    ],
)
def test_an_error_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"error: {message}")
    assert shown.err.count("\n") == 1


def test_a_model_s_file_does_not_command_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever of it is quoted: its name, or in an error what it says that it is."""
    evil = "\x1b]0;evil\x07\x1b[2J\x9b2J"
    write_random_model(tmp_path / "model.gguf", f"{evil}model", SHAPES["tiny"], "q4_0")
    assert main(["info", str(tmp_path / "model.gguf")]) == 0
    writer = GGUFWriter()
    writer.add("general.architecture", f"{evil}llama")
    with (tmp_path / "other.gguf").open("wb") as file:
        writer.write(file)
    assert main(["info", str(tmp_path / "other.gguf")]) == 1
    shown = capsys.readouterr()
    assert "]0;evil[2J2Jmodel" in shown.out and "llama" in shown.err
    assert not {"\x1b", "\x07", "\x9b"} & {*shown.out, *shown.err}


def test_debug_shows_where_an_error_comes_from() -> None:
    with pytest.raises(WebLLMError):
        main(["info", "nowhere.gguf", "--debug"])


@pytest.mark.usefixtures("gpu")
def test_complete_writes_exactly_the_text(stories: Path) -> None:
    done = run(
        *("complete", str(stories / "stories260K.gguf"), "--prompt", ""),
        *("--max-tokens", "200", "--temperature", "0"),
    )
    expected = (stories / "greedy_200.txt").read_bytes()
    assert done.stdout == expected.removesuffix(b"\n")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.usefixtures("gpu")
def test_complete_reads_standard_input_stops_and_echoes(stories: Path) -> None:
    full = (stories / "greedy_200.txt").read_text(encoding="utf-8")
    prompt, rest = full[:60], full[60:]
    stop = rest[40:55]
    # The prompt's own words may be cut into other tokens: go on from a word's end.
    at = prompt.rindex(" ")
    prompt, rest = full[:at], full[at:]
    done = run(
        *("complete", str(stories / "stories260K.gguf"), "--echo"),
        *("--stop", "never there", "--stop", stop, "--temperature", "0"),
        text=f"{prompt}\n",
    )
    assert done.stdout.decode() == prompt + rest[: rest.index(stop)]


@pytest.mark.usefixtures("gpu")
def test_a_terminal_gets_progress_and_a_last_newline(stories: Path) -> None:
    words = (*CLI, "complete", str(stories / "stories260K.gguf"), "--prompt", "")
    with Terminal(*words, "--max-tokens", "4", "--temperature", "0") as terminal:
        assert terminal.ends() == 0
    progress, _, text = terminal.text.rpartition("\r\x1b[K")
    assert "Compiling the kernels" in progress
    full = (stories / "greedy_200.txt").read_text(encoding="utf-8")
    assert text.endswith("\r\n")
    assert full.startswith(text.removesuffix("\r\n"))
    assert len(text) > 8


@pytest.mark.usefixtures("gpu")
def test_chat_with_a_real_model_over_a_pipe(stories: Path) -> None:
    words = ("chat", str(stories / "stories260K.gguf"), "--max-tokens", "12", "--temperature", "0")
    done = run(*words, text="Hello\nHello\n")
    assert done.returncode == 0
    assert done.stderr == b""
    assert len(done.stdout.decode().splitlines()) >= 2


@pytest.mark.usefixtures("gpu")
def test_info_as_json(stories: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(stories / "stories260K.gguf"), "--json", "--context", "64"]) == 0
    found = json.loads(capsys.readouterr().out)
    # llama2.c's stories260K: dim 64, 5 layers, 8 heads of which 4 have keys, 512 tokens. Its
    # README says 260K parameters, with the output layer tied; the GGUF stores that once more.
    assert found["parameters"] - 512 * 64 == 260_032
    sizes = ("hidden_size", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "head_dim")
    assert [found[name] for name in sizes] == [64, 5, 8, 4, 512, 8]
    assert found["bytes_by_format"] == {"F32": 4 * found["parameters"]}
    assert found["tokenizer"] == {
        "kind": "SentencePiece BPE",
        "tokens": 512,
        "bos": "<s>",
        "adds_bos": True,
        "ends": ["</s>"],
    }
    assert found["chat_template"]["from_checkpoint"] is False
    assert found["memory"]["context_length"] == 64
    assert found["memory"]["cache_whole_context"] == 2 * 64 * 5 * 4 * 8 * 2
    assert found["gpu"]["adapter"]


@pytest.mark.usefixtures("gpu")
def test_info_for_people(stories: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(stories / "stories260K.gguf")]) == 0
    shown = capsys.readouterr()
    assert "  layers          5 of 64 wide\n" in shown.out
    assert "  attention       8 heads of 8, 4 of keys and values\n" in shown.out
    assert "  KV cache        655 kB per 1,000 tokens, f16\n" in shown.out
    assert shown.err == ""


@pytest.mark.usefixtures("gpu")
def test_info_about_a_mixture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, shape = tmp_path / "model.gguf", SHAPES["tiny-experts"]
    write_random_model(path, "a mixture", shape, "q8_0")
    assert main(["info", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    idle = shape.layers * (shape.experts - shape.experts_used) * 3 * shape.expert_ffn * shape.hidden
    assert found["parameters"] - found["experts"]["active_parameters"] == idle
    assert main(["info", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "  experts         16 of 96 in 2 layers; a token goes to 4\n" in shown
    assert " of them for a token\n" in shown and "feed-forward" not in shown


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(options: object) -> None:
        raise NoAdapterError("wgpu found no GPU adapter")

    monkeypatch.setattr("webllm_py.cli.info.open_gpu", none)


@pytest.mark.usefixtures("no_gpu")
def test_info_of_layers_with_states(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.gguf"
    write_random_model(path, "random", SHAPES["tiny-convolutions"], "q8_0")
    assert main(["info", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "  layers          3 of 128 wide, 2 of them gated short convolutions\n" in shown
    # Of the one layer that has keys and values.
    assert "  KV cache        262 kB per 1,000 tokens, f16\n" in shown


@pytest.mark.usefixtures("no_gpu")
def test_info_without_a_gpu(stories: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(stories / "stories260K.gguf")]) == 0
    shown = capsys.readouterr().out
    assert shown.endswith("GPU\n  none            wgpu found no GPU adapter\n")
    assert "  weights         1.20 MB, F32\n" in shown


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    command = f"{sys.executable} -m webllm_py bench --help | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("usage: webllm-py bench")
    assert done.stderr == ""
