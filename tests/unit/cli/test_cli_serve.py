"""``webllm-py serve``, from starting to Ctrl-C, and what it says when it cannot start."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest

from webllm_py.cli import main


def test_it_serves_until_ctrl_c() -> None:
    command = [sys.executable, "-m", "webllm_py", "serve", "--port", "0", "--no-tune"]
    options = ["--api-key", "secret", "--allow-origin", "https://example.org", "--fetch-images"]
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stderr
    try:
        name = process.stdout.readline()
        if not name and "adapter" in (said := process.stderr.read()):
            pytest.skip(f"no GPU adapter for wgpu: {said}")
        url, hint = process.stdout.readline().split(maxsplit=1)
        assert name.startswith("Pocket · llama, 5.05 million parameters")
        assert hint == "(Ctrl+C stops)\n"

        def ask(path: str, fields: Any = None, **headers: str) -> Any:
            data = json.dumps(fields).encode() if fields else None
            given = {"Authorization": "Bearer secret", **headers}
            return urllib.request.urlopen(urllib.request.Request(url + path, data, given))

        question = {"role": "user", "content": "What is the capital of Japan?"}
        fields = {"messages": [question], "temperature": 0}
        with ask("/chat/completions", fields) as response:
            reply = json.load(response)
        assert reply["choices"][0]["message"]["content"] == "The capital of Japan is Tokyo."
        # A browser asks first whether a page may.
        preflight = urllib.request.Request(
            url + "/chat/completions",
            method="OPTIONS",
            headers={
                "Origin": "https://example.org",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization",
            },
        )
        with urllib.request.urlopen(preflight) as response:
            assert response.headers["access-control-allow-origin"] == "https://example.org"
        for headers, status in (({"Authorization": "no"}, 401), ({"Host": "evil.example"}, 400)):
            with pytest.raises(urllib.error.HTTPError) as caught:
                ask("/models", **headers)
            with caught.value:
                assert caught.value.code == status
        # And sends some requests without asking.
        for origin, status in (("https://example.org", 400), ("http://localhost:9", 403)):
            with pytest.raises(urllib.error.HTTPError) as caught:
                ask("/completions", {"no": 1}, Origin=origin, **{"Content-Type": "text/plain"})
            with caught.value:
                assert caught.value.code == status
                code = json.load(caught.value)["error"]["code"]
                assert (code == "origin_not_allowed") == (status == 403)
        part = {"type": "image_url", "image_url": {"url": "http://127.0.0.1/"}}
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask("/chat/completions", {"messages": [{"role": "user", "content": [part]}]})
        with caught.value:
            told = json.load(caught.value)["error"]["message"]
        assert told == (
            "the image cannot be fetched: 127.0.0.1 is not public, and this server asks none else. "
            "A data:image/...;base64,... URL needs none"
        )
        endless = {"prompt": "Once", "stream": True, "ignore_eos": True}
        with ask("/completions", endless) as response:
            assert response.readline().startswith(b"data: {")
            process.send_signal(signal.SIGINT)  # in the middle of an answer
            assert response.read().endswith(b"data: [DONE]\n\n")
        assert process.wait(60) == 0
        assert process.stderr.read() == (
            "WARNING: a request was refused: web pages of 'http://localhost:9' may not ask this "
            "server: start it with --allow-origin ORIGIN for those that may\n"
        )
    finally:
        process.kill()
        process.communicate()


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 1
    shown = capsys.readouterr()
    assert shown.err == (
        f"error: cannot listen on port {port} of 127.0.0.1: Address already in use; "
        "--port and --host give another address\n"
    )


@pytest.mark.parametrize("package", ["uvicorn", "starlette"])
def test_a_missing_extra(
    package: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["serve"]) == 1
    assert capsys.readouterr().err == (
        f"error: webllm-py serve needs the package {package}, which is not installed: "
        "pip install 'webllm-py[serve]'\n"
    )


@pytest.mark.parametrize("key", ["", "kéy", "a key", "key\n", "\udcff"])
def test_a_key_that_cannot_be_sent(
    key: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["serve", "--port", "0", "--api-key", key]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: an API key is made of ASCII's letters, digits and marks")
    if key:  # a variable that is empty is one that is not set
        monkeypatch.setenv("WEBLLM_PY_API_KEY", key)
        assert main(["serve", "--port", "0"]) == 1
        assert capsys.readouterr().err == told


def test_an_origin_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "0", "--allow-origin", "https://example.org/page"]) == 1
    assert capsys.readouterr().err == (
        "error: 'https://example.org/page' is not an origin: it is made as https://example.org or "
        "http://localhost:3000, without a path, or is * for all\n"
    )


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--port", port])
    assert "is not a port, 0 to 65535" in capsys.readouterr().err
