"""Amazon ECS for tests: in memory as `memory.FakeEcs`, and the rules that emulators do not check."""
