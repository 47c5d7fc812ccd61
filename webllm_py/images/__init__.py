"""Images of requests: fetched, decoded, and laid out as a vision model's processor does it.

No GPU here: the arithmetic on pixels is kernels/resample.wgsl's and kernels/patches.wgsl's.
Imported for models that see.
"""
