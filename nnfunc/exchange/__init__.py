"""To and from other libraries, and predictors in other languages. Knows nothing of training."""
