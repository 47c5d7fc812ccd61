"""Models of random weights at the sizes of real ones, for measuring where those cannot be had."""
