"""Adapters (LoRA, arXiv 2106.09685) beside a model's weights, chosen by each request."""
