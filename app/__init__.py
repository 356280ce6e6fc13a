"""Concord: who works with whom, on what, since when, and how we know."""
