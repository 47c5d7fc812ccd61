"""Grammars: regular expressions, GBNF and JSON Schema -> byte automaton -> token masks.

Pure Python, without a GPU and without a tokenizer: all it knows of a vocabulary is the bytes of
each token.
"""
