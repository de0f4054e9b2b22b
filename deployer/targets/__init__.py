"""Where services run, one folder for each target."""
