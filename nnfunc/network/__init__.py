"""Pieces put together and run: the one loop, the one guard, the one tap, the verbs with their one boundary. Knows nothing of training."""
