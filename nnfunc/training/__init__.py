"""Many steps: what `train` is given, its state, its loop, and a batch in shards. Knows nothing of other libraries' files."""
