"""Benchmarks: the engine, the peers people use today, and the limit of the machine, in one run."""
