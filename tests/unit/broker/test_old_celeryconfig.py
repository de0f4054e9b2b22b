"""A user's own celeryconfig.py of the former version goes on working, with a warning."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from paths import ROOT

OLD = ROOT / "tests" / "support" / "celeryconfig_of_0_1.py"
PROGRAM = """
from deployer import celery as app
import celeryconfig
print(celeryconfig.__file__)
print(type(app.backend).__module__, type(app.backend).__name__)
print(app.connection().transport_cls, app.connection_for_write().transport.Channel.__module__)
print(app.conf.task_default_queue, sorted(app.conf.beat_schedule))
"""


def test_the_celeryconfig_of_the_former_version_works_and_says_what_to_change(tmp_path: Path) -> None:
    shutil.copy(OLD, tmp_path / "celeryconfig.py")
    settings = {
        "DEPLOYER_TASK_QUEUE": "https://sqs.eu-central-1.amazonaws.com/1/tasks",
        "DEPLOYER_REDIS_URL": "redis://127.0.0.1:1/0",
        "AWS_REGION": "eu-central-1",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEPLOYER_", "AWS_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=kept | settings,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    file, backend, transport, rest = done.stdout.splitlines()
    assert file == str(tmp_path / "celeryconfig.py")
    assert backend == "deployer.broker.results OptionalRedisBackend"
    assert transport.endswith("deployer.broker.channel")
    assert rest == "tasks ['reconcile', 'refresh_credentials']"
    assert "deployer.bus, which is deployer.broker.channel now" in done.stderr
    assert "deployer.results:OptionalRedisBackend, which is deployer.broker.results" in done.stderr
