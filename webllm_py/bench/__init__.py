"""How fast a loaded engine is: ``run`` measures, ``table`` shows. Runs in Pyodide as well."""

from webllm_py.bench.core import run
from webllm_py.bench.options import BenchOptions
from webllm_py.bench.table import table

__all__ = ["BenchOptions", "run", "table"]
