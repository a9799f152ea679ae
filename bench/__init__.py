"""Benchmarks: ratios between Heed and the least that could do the same, in one run with real servers."""
