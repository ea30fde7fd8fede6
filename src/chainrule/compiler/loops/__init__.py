"""The loop program: what is computed for one element, and in which loops."""
