"""JSON Schema to a grammar."""
