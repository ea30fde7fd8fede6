"""What runs the workloads: contestants, timing in fresh processes, tables."""
