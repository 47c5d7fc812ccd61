"""The chat on a terminal and over a pipe, with an engine that says what it was asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pseudo_terminal import Terminal

ECHO = str(Path(__file__).with_name("echo_engine.py"))
PROMPT = ">>> "
CTRL_C, CTRL_D = "\x03", "\x04"


def chat(*words: str, **environment: str) -> Terminal:
    return Terminal(ECHO, "chat", *words, environment={"NO_COLOR": "1", **environment})


def press_ctrl_c(terminal: Terminal) -> None:
    """In the middle of a line. Python's readline overlooks a signal that comes between its prompt
    and its first wait; a person is never that quick."""
    terminal.settle()
    terminal.type("half a line")
    terminal.wait_for("half a line")
    terminal.settle()
    terminal.type(CTRL_C)


def over_pipe(text: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ECHO, "chat", *words]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)


def test_a_conversation_on_a_terminal() -> None:
    with chat() as terminal:
        greeting = terminal.wait_for(PROMPT)
        assert "Echo · llama, 1.24 billion parameters\r\nQ4_0 on Test GPU" in greeting
        terminal.type("good morning\n")
        answer = terminal.wait_for(PROMPT)
        # White space at the beginning of an answer is not shown.
        assert answer.startswith("good morning\r\nYou said: good morning\r\n")
        assert "5 tokens · 100 tokens/s · first after 12 ms" in answer
        terminal.type("think\n")
        assert "Hm.\r\n\r\nYou said: think\r\n" in terminal.wait_for(PROMPT)
        terminal.type(CTRL_D)
        assert terminal.ends() == 0
        assert "\x1b[" not in terminal.text.replace("\x1b[?2004", "")  # readline's bracketed paste


def test_an_image_goes_with_the_next_message(tmp_path: Path) -> None:
    (tmp_path / "a cat.png").touch()
    typed = f"/image '{tmp_path}/a cat.png'\n/image https://example.org/b.jpg\nwhat?\nand now?\n"
    done = over_pipe(typed, "--vision", "mmproj.gguf")
    assert done.stdout == "You said: [a cat.png] [b.jpg] what?\nYou said: and now?\n"
    missing = over_pipe("/image nothing.png\nwhat?\n", "--vision", "mmproj.gguf")
    assert missing.stdout == "there is no file 'nothing.png'\nYou said: what?\n"
    blind = over_pipe(typed)
    assert blind.stdout.startswith("this model reads text only")
    assert "You said: what?" in blind.stdout


def test_colours_on_a_terminal() -> None:
    with Terminal(ECHO, "chat") as terminal:
        terminal.wait_for("\x1b[1mEcho\x1b[0m")
        terminal.wait_for("\x1b[1;36m>>> \x1b[0m")
        terminal.type("hi\n")
        terminal.wait_for("\x1b[2m4 tokens")
        terminal.type("/exit\n")
        assert terminal.ends() == 0


def test_ctrl_c_stops_the_answer_and_then_leaves() -> None:
    with chat() as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("for ever\n")
        terminal.wait_for("on on on")
        terminal.type(CTRL_C)
        assert "stopped · " in terminal.wait_for(PROMPT)
        terminal.type("still there?\n")
        assert "You said: still there?" in terminal.wait_for(PROMPT)
        terminal.type("for ever\n")
        terminal.wait_for("on on on")
        terminal.type(CTRL_C)
        terminal.wait_for(PROMPT)
        terminal.type("half a mess")
        press_ctrl_c(terminal)
        assert "Ctrl-C once more leaves" in terminal.wait_for(PROMPT)
        press_ctrl_c(terminal)
        assert terminal.ends() == 0


def test_ctrl_c_at_the_prompt_asks_for_another_one() -> None:
    with chat() as terminal:
        terminal.wait_for(PROMPT)
        press_ctrl_c(terminal)
        assert "Ctrl-C once more leaves" in terminal.wait_for(PROMPT)
        terminal.type("a whole line\n")
        assert "You said: a whole line" in terminal.wait_for(PROMPT)
        press_ctrl_c(terminal)
        assert "Ctrl-C once more leaves" in terminal.wait_for(PROMPT)
        press_ctrl_c(terminal)
        assert terminal.ends() == 0


def test_a_second_ctrl_c_does_not_wait_for_an_engine_that_is_stuck() -> None:
    with chat() as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("stuck\n")
        terminal.wait_for("on on on")
        terminal.type(CTRL_C)
        terminal.wait_for("still still")  # it has come: two that wait are one
        terminal.type(CTRL_C)
        assert terminal.ends() == 130
        assert "Traceback" not in terminal.text


def test_commands() -> None:
    with chat("--system", "Be kind.") as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("/help\n")
        assert "/clear         begin a new conversation" in terminal.wait_for(PROMPT)
        terminal.type("one\n")
        terminal.wait_for(PROMPT)
        terminal.type("/stats\n")
        # The system prompt and the question, 10 tokens each; 4 words were said.
        stats = terminal.wait_for(PROMPT)
        assert "context    24 of 4,096 tokens" in stats
        assert "answers    1, 4 tokens" in stats
        assert "speed      100 tokens/s" in stats
        assert "GPU memory 812 MB" in stats
        terminal.type("/system\n")
        terminal.wait_for(PROMPT)
        terminal.type("/clear\n")
        terminal.wait_for(PROMPT)
        terminal.type("two\n")
        terminal.wait_for(PROMPT)
        terminal.type("/stats\n")
        assert "context    14 of" in terminal.wait_for(PROMPT)
        terminal.type("/nonsense\n")
        assert "there is no /nonsense; /help lists" in terminal.wait_for(PROMPT)
        terminal.type("/exit\n")
        assert terminal.ends() == 0


def test_several_lines() -> None:
    with chat() as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("one \\\n")
        terminal.wait_for("... ")
        terminal.type("two\n")
        assert "You said: one \r\ntwo" in terminal.wait_for(PROMPT)
        terminal.type(CTRL_D)
        assert terminal.ends() == 0


def test_errors_leave_the_conversation_as_it_was() -> None:
    with chat() as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("too long\n")
        failure = terminal.wait_for(PROMPT)
        assert "error: the conversation is over the context" in failure
        assert "/clear begins a new conversation" in failure
        terminal.type("lost\n")
        assert "loading the model again" in terminal.wait_for(PROMPT)
        terminal.type("one\n")
        terminal.wait_for(PROMPT)
        terminal.type("/stats\n")
        assert "context    14 of" in terminal.wait_for(PROMPT)  # "one" is the only question


def test_control_characters_of_a_model_do_not_reach_the_terminal() -> None:
    with chat() as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("control\n")
        terminal.wait_for("You said: control[31m2J tab\there")
        terminal.type("nothing\n")
        terminal.wait_for("0 tokens")


def test_a_pipe_gets_answers_and_nothing_else() -> None:
    done = over_pipe("one\n\ntwo three\n//usr\n")
    assert done.stdout == "You said: one\nYou said: two three\nYou said: /usr\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pipe_gets_no_reasoning() -> None:
    assert over_pipe("think\n").stdout == "You said: think\n"


def test_an_error_over_a_pipe_is_one_line_on_standard_error() -> None:
    done = over_pipe("closed\none\n")
    assert done.stderr == "error: the engine was unloaded\n"
    assert done.stdout.endswith("You said: one\n")


def test_wrong_numbers_are_told_before_the_model_is_loaded() -> None:
    done = over_pipe("", "--temperature", "9")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: 'temperature' must be from 0 to 2, not 9.0.\n"
