"""The names of the commands."""

COMMANDS = (
    "train", "tune", "predict", "evaluate", "runs", "compare", "explain", "check-example",
    "diagnose", "whatif", "preflight", "lr-find", "verify-resume", "report", "playground", "export",
)  # fmt: skip
"""One module of this folder each, imported only when the command is called."""
