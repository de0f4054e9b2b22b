"""Programs that developers run: audit, reference, pictures, requirements."""
