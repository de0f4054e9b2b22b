"""How fast the deployer is, beside a floor in the same run that does the same work with nothing around it."""
