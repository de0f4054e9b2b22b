"""What a worker takes for a task message, and what not."""

import copy
import json

import pytest
from celery import Celery, chain, chord, group
from hypothesis import given
from hypothesis import strategies as st

from deployer.broker.validation import HEADERS, NoTaskError, check_body, check_headers

app = Celery("sender", broker="memory://", backend="cache+memory://", set_as_current=False)


@app.task
def work(*_, **__):
    """Nothing."""


@pytest.fixture
def sent(monkeypatch):
    """Headers and bodies of what is sent meanwhile, as they come out of JSON."""
    found = []

    def keep(_, name, message, **options):
        found.append((json.loads(json.dumps(message.headers)), json.loads(json.dumps(message.body))))

    monkeypatch.setattr(app.amqp, "send_task_message", keep)
    return found


GOOD_HEADERS = {"task": "a.b", "id": "1"}
GOOD_BODY = [["x"], {"y": 1}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
NEXT = {"task": "a.b", "args": [], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}


@pytest.mark.parametrize(
    "send",
    [
        lambda: work.delay("x"),
        lambda: work.apply_async(("x",), {"y": 1}, countdown=5, expires=60, time_limit=9, shadow="title"),
        lambda: work.apply_async(link=work.s(), link_error=[work.s(1)]),
        lambda: chain(work.s(1), work.s(2), work.s(3)).delay(),
        lambda: group(work.s(1), work.s(2)).delay(),
        lambda: chord([work.s(1), work.s(2)], work.s()).delay(),
        lambda: work.apply_async(stamp="x", stamped_headers=["stamp"]),
    ],
)
def test_all_that_celery_sends_is_a_task(sent, send):
    send()
    assert sent
    for headers, body in sent:
        check_headers(headers)
        check_body(body)


def test_a_message_may_be_as_short_as_it_can():
    check_headers(GOOD_HEADERS)
    check_headers(GOOD_HEADERS | dict.fromkeys(HEADERS))
    check_body([[], {}, {}])
    check_body([[], {}, None])


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [1],
        {"id": "1"},
        {"task": "a.b", "id": None},
        {"task": [], "id": "1"},
        *(GOOD_HEADERS | {name: b"odd"} for name in HEADERS),
        GOOD_HEADERS | {"shadow": ["a"]},
        GOOD_HEADERS | {"timelimit": [1]},
        GOOD_HEADERS | {"timelimit": ["1", None]},
        GOOD_HEADERS | {"timelimit": "99"},
        GOOD_HEADERS | {"stamped_headers": [["a"]]},
    ],
    ids=str,
)
def test_no_task_by_its_headers(headers):
    with pytest.raises(NoTaskError):
        check_headers(headers)


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        [[], {}],
        [1, {}, {}],
        [[], [], {}],
        [[], {}, 5],
        [[], {}, [1]],
        [[], {}, {"args": ["other"]}],
        [[], {}, {"is_eager": True}],
        [[], {}, {"chain": {"a": 1}}],
        [[], {}, {"chain": [{"task": 1}]}],
        [[], {}, {"callbacks": [1]}],
        [[], {}, {"chord": "x"}],
        *([[], {}, {"chain": [NEXT | {key: None}]}] for key in ("task", "args", "kwargs", "options")),
    ],
    ids=str,
)
def test_no_task_by_its_body(body):
    with pytest.raises(NoTaskError):
        check_body(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(["callbacks", "errbacks", "chain", "chord", "other"]), JSON, JSON)
def test_any_body_whatever_is_taken_or_refused_with_one_error(key, value, args):
    body = copy.deepcopy(GOOD_BODY)
    body[2][key], body[0] = value, args
    try:
        check_body(body)
    except NoTaskError:
        return
    assert isinstance(args, list)
    assert value is None or value == []
