"""What is inside a network, and whether it is right: summaries, statistics, diagnoses, gradient checks. Knows nothing of training."""
