"""Our state in the tags of a revision, by ECS's grammar."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.errors import PermanentError
from deployer.model.service import State
from deployer.targets.ecs import tags
from deployer.targets.ecs.names import UnitId
from deployer.targets.ecs.tags import Record

NAME = "123456789012.dkr.ecr.eu-north-1.amazonaws.com/team/web"
MARK = UnitId("arn:aws:ecs:eu-north-1:123456789012:service/prod/web").mark


def digest(n):
    return f"sha256:{n:064x}"


def around(state, container=None):
    found = tags.encode(Record(state), MARK, container, NAME)
    assert all(tags.is_allowed(value) for value in found.values())
    return tags.decode(found, MARK, container, NAME).state


FULL = State(
    image=f"{NAME}:latest@{digest(1)}",
    previous=f"{NAME}:latest@{digest(2)}",
    failed=",".join(digest(n) for n in range(3, 8)),
    task="5f0d3b5a-6f0e-5c55-9d0c-0a6e8f5d9a11",
    done="a,b,c",
    event="e,1 (of 2)",
    by="event",
    at="2026-11-25T02:04:16.123+00:00",
    pushed_at="2026-11-25T02:04:16Z",
    template="0123456789abcdef",
    restart="true",
)


def test_state_goes_round():
    assert around(FULL) == FULL
    assert around(FULL, "migrate") == FULL


def test_a_reason_stays_readable():
    said = around(State(reason="web.1: task: non-zero exit (137), twice; \x1b[1m“no”")).reason
    assert said == "web.1: task: non-zero exit - 137 twice - 1m no"
    assert len(around(State(reason="x" * 1000)).reason) == 256


def test_what_is_long_is_cut_where_it_does_no_harm():
    many = State(
        failed=",".join(digest(n) for n in range(1, 30)), done=",".join("t" * 100 + str(n) for n in range(5))
    )
    back = around(many)
    assert back.failures == tuple(digest(n) for n in range(1, 10))
    assert back.former_tasks == many.former_tasks[:2]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_name_of_a_task_goes_round(text):
    assert around(State(task=text)).task == text


def test_the_longest_image_goes_round():
    name = "1" * 12 + ".dkr.ecr.eu-north-1.amazonaws.com/" + "r" * 200
    state = State(image=f"{name}:{'t' * 128}@{digest(1)}")
    found = tags.encode(Record(state), MARK, None, name)
    assert tags.decode(found, MARK, None, name).state == state


def test_state_of_another_unit_is_nobodys():
    found = tags.encode(Record(FULL, "ecs-svc/1", "web:6"), MARK, None, NAME)
    other = UnitId("arn:aws:ecs:eu-north-1:123456789012:service/prod/other").mark
    assert tags.decode(found, other, None, NAME) == Record(foreign=True)
    assert tags.decode(found, MARK, None, NAME) == Record(FULL, "ecs-svc/1", "web:6")
    assert tags.decode({}, MARK, None, NAME) == Record()


def test_a_new_revision_keeps_all_tags_but_those_of_aws_and_its_own():
    mine = {"team": "a", "aws:cloudformation:stack-name": "s", **tags.encode(Record(FULL), MARK, None, NAME)}
    further = tags.encode(Record(FULL), MARK, "migrate", NAME)
    assert tags.others(mine | further, {"migrate"}) == {"team": "a"} | further
    assert tags.others(mine | further) == {"team": "a"}


def test_what_is_no_longer_said_is_written_as_empty():
    before = {"team": "a", **tags.encode(Record(FULL), MARK, None, NAME)}
    after = tags.over(before, tags.encode(Record(State(task="t2")), MARK, None, NAME))
    assert after["deployer.state.failed.2"] == ""
    assert "team" not in after
    assert tags.decode({**before, **after}, MARK, None, NAME).state == State(task="t2")


def test_more_tags_than_ecs_allows_are_refused_with_their_number():
    with pytest.raises(
        PermanentError, match="has 45 tags, and the deployer's state needs 15 more.*remove 10"
    ):
        tags.over({f"t{n}": "" for n in range(45)}, tags.encode(Record(FULL, "d", "f"), MARK, None, NAME))


def test_services_that_share_a_revision_of_their_owner_have_their_state_side_by_side():
    other = UnitId("arn:aws:ecs:eu-north-1:123456789012:service/prod/other").mark
    found = tags.encode(Record(FULL), MARK, None, NAME)
    theirs = replace(tags.decode(found, other, None, NAME), state=State(task="theirs"))
    found |= tags.encode(theirs, other, None, NAME)
    assert tags.decode(found, MARK, None, NAME).state == FULL
    assert tags.decode(found, other, None, NAME) == theirs
