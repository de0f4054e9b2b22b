"""Days of a Swarm with its deployer on a virtual clock: `python -m lab.simulate --seeds 1000`."""
