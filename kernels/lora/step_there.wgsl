// The step is declared elsewhere in the kernel.
