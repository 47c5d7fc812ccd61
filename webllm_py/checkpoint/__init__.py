"""Model files of every kind, as one ``Checkpoint``."""
