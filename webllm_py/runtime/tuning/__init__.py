"""Shapes of kernels that are tried on the user's device while a model loads."""
