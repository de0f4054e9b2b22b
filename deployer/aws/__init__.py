"""Amazon Web Services: roles, sessions and clients."""
