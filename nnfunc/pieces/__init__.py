"""The pure functions that people compose or swap, from activations to optimisers and data. Knows nothing of networks."""
