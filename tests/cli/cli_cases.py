"""What the tests of the commands share."""

SMALL = ("--layers", "4", "--epochs", "3", "--batch-size", "200")
"""A training that takes milliseconds."""
