"""Pieces for copying into a program of one's own, each proved by a test beside it."""
