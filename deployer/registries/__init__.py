"""Where images come from: credentials and tags."""
