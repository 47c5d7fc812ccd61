// The step is declared by the epilogue or the source of the linear kernel.
