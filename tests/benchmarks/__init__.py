"""Tests of the benchmarks: the arithmetic, tiny real runs of each, and that every metric is explained."""
