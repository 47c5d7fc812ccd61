"""From a checkpoint's tensors to buffers on the GPU: fetched in pieces, repacked by kernels."""
