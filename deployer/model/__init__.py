"""The words that every folder speaks: images, services and their state."""
