"""The cache of keys and values: its buffers on the device, and which page of them holds what."""
