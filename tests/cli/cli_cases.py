"""What the tests of the commands share."""

from importlib.resources import files

PENGUINS = (files("chainrule.data") / "assets" / "penguins.csv").read_text()
"""The bundled table, as text."""

SMALL = ("--layers", "4", "--epochs", "3", "--batch-size", "200", "--no-report")
"""A training that takes milliseconds."""

QUICK = ("--epochs", "3", "--layers", "8", "--folds", "2", "--no-report")
"""A training on a table of two networks."""

SHORT = ("--layers", "4", "--batch-size", "200", "--short-steps", "6", "--kills", "2")
"""A fit that is killed twice, for verify-resume."""


def refused(result, code=2):
    """The message of a refusal: on stderr, short, without a traceback."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) <= 6
    return result.stderr
