"""Pieces put together and run: the one loop, the one guard, the one tap, the verbs with their one boundary. Knows nothing of training.

A step is one way through it, whatever the network and the options: the boundary checks the arguments, the loop runs the
layers, the loss gives its values, the mean over the batch is taken, and the loop goes back.
"""
