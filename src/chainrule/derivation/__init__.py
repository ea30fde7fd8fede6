"""Derivations: how single numbers of a program come about, in symbols and in numbers."""
