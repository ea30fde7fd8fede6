"""The commands.  Starting up imports click and nothing else that is heavy: see app.py."""

from .app import main as main
