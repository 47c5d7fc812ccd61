// The worker of webllm_py.js, watched.

import "./watch.mjs";
import "../pyodide/js/worker.js";
