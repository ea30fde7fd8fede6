"""What the commands do with the user's own tables."""
