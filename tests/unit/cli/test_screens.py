"""Tables as they look in a terminal of 80 columns."""

from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from deployer.cli.render import status_table
from deployer.reports.status import Standing

DIGEST = "sha256:" + "0123456789abcdef" * 4
WHY = (
    "registry 123456789012.dkr.ecr.eu-central-1.amazonaws.com cannot be reached: " + "Connection refused " * 3
)


def standing(service, **values):
    usual = {
        "image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/web:latest",
        "digest": DIGEST,
        "since": datetime.now(UTC) - timedelta(hours=3, minutes=1),
        "newer": None,
        "registry": None,
        "state": "converged",
        "ready": 2,
        "wanted": 2,
        "held": None,
        "off": None,
        "advice": None,
        "failed": (),
        "last": "updated: by event 3f0c6f1e-1a2b-4c3d-8e4f-0123456789ab",
        "credentials_age": timedelta(hours=3),
    }
    return Standing(service, **usual | values)


@pytest.fixture
def shown():
    def render(*standings):
        console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
        console.print(status_table(standings))
        return [line.rstrip() for line in console.export_text().splitlines()]

    return render


def test_a_row_of_an_ordinary_service_takes_few_lines(shown):
    lines = shown(standing("shop_web"), standing("shop_api"))
    assert lines[0].split()[:3] == ["SERVICE", "IMAGE", "RUNNING"]
    assert len(lines) <= 6
    assert max(map(len, lines)) <= 80


def test_a_registry_that_does_not_tell_is_explained_once_under_the_table(shown):
    lines = shown(standing("shop_web", registry=WHY), standing("shop_api", registry=WHY), standing("other"))
    text = " ".join(lines)
    assert text.count("cannot be reached") == 1
    assert " ".join(lines[lines.index("") :]).split() == f"shop_web, shop_api: {WHY}".split()
    assert sum("unknown" in line for line in lines) == 2
    assert len(lines) <= 16


def test_a_deployment_that_failed_is_told_under_the_table(shown):
    last = "rolled-back: shop_web.1: task: non-zero exit (1)"
    text = " ".join(" ".join(shown(standing("shop_web", last=last, failed=(DIGEST,)), standing("b"))).split())
    assert text.endswith(f"shop_web: {last}; not tried again: 0123456789ab")


def test_nothing_to_show_is_said(shown):
    assert shown() == ["no service runs an image and carries the filter label"]
