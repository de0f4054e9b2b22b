"""`deployer logs SERVICE`: the deployer's own lines of a service, by event (F12)."""

import json

import pytest

from deployer import app
from deployer.reports.service_logs import lines_of, own_services

BRIDGE = """\
time=2026-01-01T00:00:01Z level=info logger=deployer.triggers.bridge msg="Push of team/web:latest" event=e1
time=2026-01-01T00:00:05Z level=info logger=deployer.triggers.bridge msg="Push of team/api:latest" event=e2
"""
WORKER = """\
time=2026-01-01T00:00:02Z level=info logger=deployer.tasks msg="followed by 1 services: web" event=e1
time=2026-01-01T00:00:03Z level=info logger=deployer.tasks msg="Deployment t1 ended" event=e1 task=t1 service=web
time=2026-01-01T00:00:06Z level=info logger=deployer.tasks msg="Deployment t2 ended" event=e2 task=t2 service=api
{"time": "2026-01-01T00:00:09Z", "msg": "by hand", "task": "t3", "service": "web"}
time=2026-01-01T00:00:10Z level=info logger=celery msg="web is a word of this line"
"""


def test_a_services_lines_are_those_of_its_events():
    found = lines_of("web", [("worker", WORKER), ("bridge", BRIDGE)])
    assert [(line.event or line.task, line.source) for line in found] == [
        ("e1", "bridge"),
        ("e1", "worker"),
        ("e1", "worker"),
        ("t3", "worker"),
    ]


def test_lines_of_files_are_shown_with_the_command_for_the_services_own(call, tmp_path):
    (tmp_path / "worker.log").write_text(WORKER + "\x1b[31mevil event=e1 service=web\n")
    done = call("logs", "web", "--file", str(tmp_path / "worker.log"), "--file", "-", input=BRIDGE)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("event e1\n")
    assert "by hand" in done.stdout
    assert "\x1b" not in done.stdout
    assert "docker service logs --since 86400s web" in done.stderr
    told = json.loads(call("logs", "web", "--file", str(tmp_path / "worker.log"), "--json").stdout)
    assert {line["service"] for line in told} == {"web"}


def test_a_file_that_is_not_there_is_said(call):
    assert "nowhere.log cannot be read: No such file" in call("logs", "web", "--file", "nowhere.log").stderr


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        (["celery", "-A", "deployer", "worker"], True),
        (["deployer", "bridge"], True),
        (["celery", "-A", "deployer", "flower"], False),
        (["nginx"], False),
    ],
)
def test_the_deployers_own_services_are_known_by_what_they_run(swarm, command, ours):
    swarm.raw["shop_api"]["Spec"]["TaskTemplate"]["ContainerSpec"]["Args"] = command
    assert [one.name for one in own_services(swarm.services())] == ["shop_api"] * ours


def test_the_swarm_is_asked_for_the_logs_of_the_deployers_services(swarm, call, monkeypatch):
    assert "--file worker.log" in call("logs", "web").stderr
    swarm.raw["shop_api"]["Spec"]["TaskTemplate"]["ContainerSpec"]["Args"] = ["deployer", "bridge"]
    monkeypatch.setattr(
        app.swarm(), "logs", lambda service, since: f"{service} {since:g} service=web", raising=False
    )
    assert "shop_api: id-shop_api 7200 service=web" in call("logs", "web", "--since", "2h").stdout
