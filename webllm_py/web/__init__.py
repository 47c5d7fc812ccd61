"""The engine for web pages: ``webllm_py.js`` and its parts, and the Python that they run in a
worker.

The JavaScript lies in this folder; a site has it beside the wheel (demo/tools/distribution.py).
"""
