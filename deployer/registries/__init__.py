"""Registries of images: credentials, tags and manifests."""
