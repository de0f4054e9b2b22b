"""The first screens of the commands at 80 and at 140 columns, as files that a reader can look at.

`SCREENS=write python -m pytest tests/unit/cli/test_screens.py` writes them anew.
"""

import io
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console, Group

from deployer.cli.holds import hold_lines
from deployer.cli.views.history import hidden_line, history_lines
from deployer.cli.views.render import behind_summary, behind_table, explanation, finding
from deployer.cli.views.status import fitting, status_lines
from deployer.reports.explain import Explanation, Step
from deployer.reports.finding import Finding
from deployer.reports.history import Entry, Wanted
from deployer.reports.status import NO_WORKER, Last, ServiceStatus
from deployer.reports.why import Why
from deployer.rollouts.fleet.survey import Outdated, Survey
from deployer.rollouts.ledger import Hold

SCREENS = Path(__file__).parent / "screens"
HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
DIGEST = "sha256:" + "0123456789abcdef" * 4
OTHER = "sha256:" + "fedcba9876543210" * 4
EVENT = "3f0c6f1e-1a2b-4c3d-8e4f-0123456789ab"
DOWN = f"registry {HOST} cannot be reached: connection refused"
NOON = datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC)


def standing(service, **values):
    usual = ServiceStatus(
        service=service,
        image=f"{HOST}/team/{service.rpartition('_')[2]}:latest",
        digest=DIGEST,
        since=None,
        newer=None,
        registry="up-to-date",
        state="converged",
        ready=2,
        wanted=2,
        why=(),
        failed=(),
        last=ended("updated"),
        credentials_age=timedelta(hours=3),
    )
    return replace(usual, **values)


def ended(outcome, reason="", minutes=181):
    return Last(outcome, reason, "event", EVENT, datetime.now(UTC) - timedelta(minutes=minutes))


def late(service, why, **values):
    return standing(service, registry="newer", newer=OTHER, why=(why,) if why else (), **values)


EVERYTHING = [
    standing("shop_web"),
    late("shop_api", Why("held", "audit until noon")),
    late("shop_search", Why("waiting", "outside its window, which opens at 2026-03-02 03:00 UTC")),
    late("shop_cart", Why("waiting", "shop_api goes first")),
    late("shop_mail", Why("held", f"this digest failed before (rolled back by hand); {OTHER}")),
    standing("shop_label", registry="not-followed", why=(Why("label", "unknown label deployer.polcy; did you mean deployer.policy?"),)),
    standing("db", registry="not-followed", why=(Why("ignored", "the image is pinned to a digest and has no tag to follow"),), last=None, credentials_age=None),
    standing("cache", registry="not-followed", why=(Why("ignored", "the image is pinned to a digest and has no tag to follow"),), last=None, credentials_age=None),
    late("shop_jobs", NO_WORKER),
    standing("shop_pay", state="going-back", ready=3, wanted=4, failed=(OTHER,), last=ended("going-back", "shop_pay.1: task: non-zero exit (7)")),
    standing("shop_frontend_of_the_summer_campaign", image=f"{HOST}/team/a-rather-long-name:release-2026-03-01", state="rolling", ready=11, wanted=12, last=ended("rolling")),
    standing("shop_users", registry="unknown", why=(Why("registry", DOWN),)),
    standing("shop_files", registry="unknown", why=(Why("registry", DOWN),), last=ended("rolled-back", "shop_files.1: task: non-zero exit (1)"), failed=(OTHER,)),
]  # fmt: skip

HISTORY = [
    Entry(NOON, "shop_web", "updated", "2/2 running", f"{HOST}/team/web:latest@{OTHER}", f"{HOST}/team/web:latest@{DIGEST}", 12.5, "event", EVENT, EVENT),
    Entry(NOON, "shop_api", "rolled-back", "shop_api.1: task: non-zero exit (7)", f"{HOST}/team/api:v2@{OTHER}", f"{HOST}/team/api:v1@{DIGEST}", 20.3, "manual", None, EVENT, None, "alice@bastion"),
    Entry(NOON, "shop_web", "unchanged", "the service has this digest", f"{HOST}/team/web:latest@{OTHER}", by="reconcile"),
    Entry(None, "shop_mail", "waiting", "outside its window, which opens at 2026-03-02 03:00 UTC", by="event", event=EVENT),
    Entry(NOON - timedelta(days=1), "shop_mail", "held", "held: audit", f"{HOST}/team/mail:latest@{OTHER}", by="event", event=EVENT),
]  # fmt: skip

BEHIND = Survey(
    3,
    2,
    (
        Outdated("web", "1", f"{HOST}/team/web:latest@{DIGEST}", f"{HOST}/team/web:latest@{OTHER}", True, ""),
        Outdated(
            "api", "2", f"{HOST}/team/api:1.2.0@{DIGEST}", f"{HOST}/team/api:1.3.0@{OTHER}", False, "audit"
        ),
    ),
    (),
)
RULES = (Step("no command holds it"), Step("it carries the filter label"), Step("its updates are turned on"))


HELD = [
    (None, Hold("night", "alice@bastion", "2026-03-01T22:00:00+00:00", "2026-03-02T06:00:00+00:00")),
    (
        "shop_api",
        Hold("audit of the payments until the auditors say so", "bob@bastion", "2026-03-01T12:00:00+00:00"),
    ),
    ("shop_web", Hold("held by an older version")),
]
CHECKS = (
    Finding("AWS identity", "ok", "arn:aws:iam::123456789012:user/deployer"),
    Finding(
        "task queue: visibility timeout",
        "fail",
        "30 s",
        "set VisibilityTimeout to 120 or more: work is done twice",
    ),
    Finding("workers", "warn", "none answers", "start `celery -A deployer worker` on a manager"),
)


def doctor(width):
    out = io.StringIO()
    for check in CHECKS:
        finding(Console(file=out, width=width), check)
    return out.getvalue().splitlines()


def explained(outcome, reason, *steps):
    rule = next((step.rule for step in steps if step.stop), None)
    runs, follows = f"{HOST}/team/web:1.2.0@{DIGEST}", f"deployer.policy=semver:^1.0, tags of {HOST}/team/web"
    return explanation(Explanation("web", runs, follows, outcome, reason, rule, (*RULES, *steps)))


def shown(width):
    wanted = Wanted()
    hidden = [entry for entry in HISTORY if not wanted.shows(entry)]
    unchanged = "the service has this digest"
    outside = "tag v2.0.0 is outside of semver:^1.0 (label deployer.policy)"
    yield "status", status_lines(EVERYTHING, width)
    yield "status-watch", fitting(EVERYTHING, width, 22)
    yield "status-empty", status_lines([], width)
    yield "history", [*history_lines([e for e in HISTORY if wanted.shows(e)], width), hidden_line(hidden)]
    yield "history-all", history_lines(HISTORY, width)
    yield "reconcile", [*behind_table(BEHIND, width), behind_summary(BEHIND)]
    yield (
        "explain-unchanged",
        explained("unchanged", unchanged, Step("the service lacks this digest", unchanged)),
    )
    yield "hold", hold_lines(HELD, width)
    yield "doctor", doctor(width)
    yield "explain-outside", explained("ignored", outside, Step("the push is of what it follows", outside))
    yield "explain-updated", explained("updated", f"{HOST}/team/web:1.3.0@{OTHER}")


@pytest.mark.parametrize("width", [80, 140])
def test_the_screens_are_those_of_the_files(width):
    for name, lines in shown(width):
        file = SCREENS / f"{name}.{width}.txt"
        text = "".join(f"{str(line).rstrip()}\n" for line in lines)
        if os.environ.get("SCREENS") == "write":
            file.write_text(text)
        assert text == file.read_text(), file.name


@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_row_of_a_table_is_wider_than_the_terminal(width):
    """Rows were folded: 4 to 6 lines each, with digests in three pieces (F5, F9)."""
    rows = status_lines(EVERYTHING, width)[: len(EVERYTHING) + 1]
    assert max(len(row) for row in rows) <= width
    assert all(one.service[:6] in row.plain for one, row in zip(EVERYTHING, rows[1:], strict=True))


def test_a_screen_of_watch_says_what_is_cut_and_keeps_what_is_wrong():
    """D20: the last service, all notes and `Ctrl-C ends it` were cut off without a sign."""
    many = [standing(f"ok_{n}") for n in range(40)] + [late("shop_api", Why("label", "unknown label x"))]
    lines = [line.plain for line in fitting(many, 80, 22)]
    assert len(lines) <= 22
    assert any("unknown label x" in line for line in lines)
    assert lines[-1].startswith("… ")
    assert "more" in lines[-1]


@pytest.mark.parametrize("rows", [1, 3, 6, 10, 20])
@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_screen_of_watch_may_be_tiny(width, rows):
    """D20: at 40x12 it was letters in columns."""
    assert fitting(EVERYTHING, width, rows)[-1].plain.startswith("… ")
    assert len(fitting(EVERYTHING[:1], width, rows)) <= max(rows, 2) + 1


def test_a_reason_is_told_once_for_all_services_that_share_it():
    text = "\n".join(line.plain for line in status_lines(EVERYTHING, 80))
    assert text.count("cannot be reached") == 1
    assert f"shop_users, shop_files: {DOWN}" in text


def test_the_lines_stay_lines_where_rich_groups_them():
    """As `--watch` shows them; seen in a real terminal."""
    out = io.StringIO()
    lines = fitting(EVERYTHING[:2], 80, 24)
    Console(file=out, width=80, force_terminal=False).print(Group(*lines))
    assert [line.rstrip() for line in out.getvalue().splitlines()] == [line.plain for line in lines]
