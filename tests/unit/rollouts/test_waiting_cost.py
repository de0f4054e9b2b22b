"""The cost of waiting: many services behind few slots ask for little, and leave no slot empty."""

from bench.waiting import simulate


def test_fault_20_three_hundred_services_behind_five_slots_ask_for_little():
    """Before: 94 looks, 92 requests to the registry and 92 lists of all services a second."""
    waited = simulate(300, 5, warm=10, minutes=5)
    assert waited.looks <= 5
    assert waited.registry <= 0.5
    assert waited.lists <= 0.2
    assert waited.busy >= 0.95


def test_a_slot_that_comes_free_does_not_stay_empty_for_long():
    assert simulate(20, 1, warm=0, minutes=20).busy >= 0.8
