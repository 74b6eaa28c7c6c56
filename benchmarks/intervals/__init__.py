"""Simulated studies whose truth is known, and the intervals that are tried on them."""
