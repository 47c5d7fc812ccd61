"""Models that run: tokens in, tokens out. Nothing here knows a text.

``executor.py`` is a loaded model and its recorded plans, ``decoder.py`` what is decoded together.
Around them: ``weights`` brings a model to the GPU, ``lora`` adapters, ``tuning`` tries kernels'
shapes there; ``kv`` keeps keys and values; ``generation`` is the loop from a prompt's tokens to
drawn ones, and ``sampling`` how one is drawn; ``vision`` and ``embedding`` run the other kinds of
models, ``inspection`` looks into a pass. ``memory.py`` plans what all of it takes.
"""
