"""How a push reaches the deployer."""
