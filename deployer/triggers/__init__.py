"""The ways on which a push reaches the deployer."""
