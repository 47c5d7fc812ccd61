"""Run large language models inside the browser, driven from Python."""
