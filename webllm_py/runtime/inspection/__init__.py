"""What a model computes on the way: logits, likelihoods, hidden states, and changes to them."""
