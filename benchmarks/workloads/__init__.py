"""One file a workload: the same model for every library that can run it."""
