"""Benchmarks: speed and size in ratios against floors that are started in the same run."""
