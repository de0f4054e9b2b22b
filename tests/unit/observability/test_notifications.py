"""Who is told what: bursts, targets, templates, and that a dead target holds nothing up."""

import threading
from dataclasses import replace

import pytest

from deployer.errors import SettingsError
from deployer.model.deployment import Outcome, Report
from deployer.observability.notifications import Notifier, check, targets, template

IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/web:latest@sha256:" + "a" * 64


def report(service="web", outcome=Outcome.UPDATED, reason="1/1 running", **more):
    return Report(outcome, reason, service, image=IMAGE, duration=12.4, event="e-1", by="event", **more)


class Told(list):
    def __call__(self, url, title, body, bad):
        self.append((url, title, body, bad))
        return True


def tell(*reports, urls=((None, "json://one"),), **options):
    told = Told()
    notifier = Notifier(urls, send=told, gather=30, **options)
    for each in reports:
        notifier.tell(each, "task-1")
    notifier.flush(5)
    return told


def test_a_message_says_what_to_know():
    [(url, title, body, bad)] = tell(report(outcome=Outcome.ROLLED_BACK, reason="web.1: exit 1"))
    assert (url, title, bad) == ("json://one", "web rolled back", True)
    for word in ("web", "team/web:latest@sha256:aaa", "web.1: exit 1", "event e-1", "12 s"):
        assert word in body


def test_an_image_that_is_no_reference_keeps_nothing_from_being_told():
    [(_, _, body, _)] = tell(replace(report("odd"), image="No Image"), report("web"))
    assert "odd: updated, No Image" in body
    assert "web: updated" in body


def test_a_burst_of_services_is_one_message():
    [(_, title, body, bad)] = tell(
        *[report(f"web-{n}") for n in range(3)], report("db", Outcome.FAILED, "exit 1")
    )
    assert title == "3 services updated, db failed"
    assert len(body.splitlines()) == 4
    assert bad


def test_a_large_burst_is_counted():
    [(_, title, body, _)] = tell(*[report(f"web-{n}") for n in range(100)])
    assert title == "100 services updated"
    assert body.splitlines()[-1] == "and 80 more"


@pytest.mark.parametrize("outcome", [Outcome.UNCHANGED, Outcome.SUPERSEDED, Outcome.IGNORED])
def test_what_changes_nothing_is_not_told(outcome):
    assert tell(report(outcome=outcome)) == []


def test_a_recovery_is_told_as_such():
    assert tell(report(recovered=True))[0][1] == "web recovered"


def test_what_cannot_be_done_is_no_alarm():
    [(_, title, body, bad)] = tell(report(outcome=Outcome.FAILED, reason="no such tag", refused=True))
    assert (title, bad) == ("web refused", False)
    assert "web: refused" in body


def test_what_is_held_back_is_told_once():
    held = report(outcome=Outcome.HELD, reason="held: audit")
    [(_, title, body, _)] = tell(held, held, held)
    assert (title, len(body.splitlines())) == ("web held back", 1)


@pytest.mark.parametrize(
    ("label", "heard"),
    [
        (None, ["all"]),
        ("ops", ["all", "ops"]),
        ("ops, dev", ["all", "ops", "dev"]),
        ("none", []),
        ("nobody", ["all"]),
    ],
)
def test_a_label_chooses_the_named_targets(label, heard):
    urls = targets("json://all\n ops=json://ops dev=jsons://user:pass@dev/?a=b,c")
    told = tell(report(notify=label), urls=urls)
    assert [url.partition("://")[2].partition("@")[2] or url.partition("://")[2] for url, *_ in told] == [
        {"dev": "dev/?a=b,c"}.get(name, name) for name in heard
    ]


def test_a_template_is_the_operators_own():
    [(_, _, body, _)] = tell(report(), line="$tag $digest $$5 ${task}")
    assert body == f"latest sha256:{'a' * 64} $5 task-1"


@pytest.mark.parametrize("text", ["$sevice failed", "costs $5", "${service.__class__}"])
def test_a_wrong_template_names_the_setting_and_the_fields(text):
    with pytest.raises(SettingsError, match=r"DEPLOYER_NOTIFY_TEMPLATE.*\$service"):
        template(text)


def test_a_url_that_nobody_understands_is_named_without_its_secret():
    with pytest.raises(SettingsError, match="DEPLOYER_NOTIFY_URLS: target number 2") as told:
        check(targets("json://localhost nonsense://s3cret@host"))
    assert "s3cret" not in str(told.value)


def test_a_dead_target_delays_nobody_and_the_next_one_hears():
    release, told, counts = threading.Event(), [], []

    def send(url, title, body, bad):
        if url == "json://dead":
            release.wait(20)
            raise OSError("no route")
        told.append(title)
        return True

    notifier = Notifier(
        [(None, "json://dead"), (None, "json://well")], send=send, gather=0, counted=counts.append
    )
    for number in range(3000):
        notifier.tell(report(f"web-{number}"))  # returns at once, also when nothing more can wait
    release.set()
    notifier.flush(10)
    assert told
    assert counts[:2] == [False, True]


def test_who_waits_for_the_end_waits_for_what_came_last():
    """A report that came while the one before was being sent was left behind at a worker's end."""
    begun, release, told = threading.Event(), threading.Event(), []

    def send(url, title, body, bad):
        begun.set()
        release.wait(20)
        told.append(title)
        return True

    notifier = Notifier([(None, "json://one")], send=send, gather=0)
    notifier.tell(report("web"))
    assert begun.wait(10)
    notifier.tell(report("api"))
    threading.Timer(0.2, release.set).start()
    notifier.flush(10)
    assert told == ["web updated", "api updated"]
