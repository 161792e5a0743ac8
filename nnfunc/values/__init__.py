"""What everything is made of: types, checks and the one message, arrays, keys, params, files. Knows nothing of layers."""
