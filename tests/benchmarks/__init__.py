"""Benchmarks: what the registry's answers cost, and how that grows with the registry. `make bench` runs them."""
