"""`python -m chainrule`: the same as the command `chainrule`."""

from .cli import main

main()
