// What a site has of its own for the endpoint that openai.html uses: a service worker, at the top of
// the pages that it is for.

import "../pyodide/webllm_py_service.js";
