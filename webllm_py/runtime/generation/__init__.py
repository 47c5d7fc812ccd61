"""From a prompt's tokens to drawn ones: prefill, decode loops, and requests decoded together."""
