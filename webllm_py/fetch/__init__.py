"""Where bytes come from: local files, HTTP, files picked in a browser."""
