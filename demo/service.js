// The site's service worker: the page without a network, and OpenAI's endpoint for its own pages.

import "./pyodide/webllm_py_service.js";
import "./app/offline.mjs";
