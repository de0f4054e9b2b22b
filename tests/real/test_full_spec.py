"""A service with every option of `docker service create` keeps every byte of its spec but what may change."""

import json
import subprocess
import sys

import pytest

from lab import HOST, wait_until

pytestmark = pytest.mark.real
WEB = "team/full:latest"

# What the engine's client of Debian 12 (20.10) can set and a Swarm of one Linux node accepts.
OPTIONS = """
--cap-add NET_ADMIN --cap-drop MKNOD --constraint node.role==manager --container-label inner=1 --dns 127.0.0.53
--dns-option ndots:2 --dns-search example.com --endpoint-mode dnsrr --entrypoint /bin/busybox --env A=1 --env B=x=y
--group 0 --health-cmd true --health-interval 7s --health-retries 4
--health-start-period 3s --health-timeout 5s --host one:127.0.0.9 --hostname {{.Service.Name}} --init
--isolation default --label user=kept --limit-cpu 0.5 --limit-memory 64m --limit-pids 100 --log-driver json-file
--log-opt max-size=1m --mount type=tmpfs,destination=/scratch,tmpfs-size=1000000
--mount type=volume,source=data,destination=/data,volume-label=a=b --placement-pref spread=node.labels.zone
--read-only --replicas 1 --replicas-max-per-node 3 --reserve-cpu 0.1 --reserve-memory 8m
--restart-condition on-failure --restart-delay 2s --restart-max-attempts 9 --restart-window 1m
--rollback-delay 1s --rollback-failure-action continue --rollback-max-failure-ratio 0.25 --rollback-monitor 2s
--rollback-order start-first --rollback-parallelism 2 --stop-grace-period 3s --stop-signal SIGUSR1
--sysctl net.ipv4.ip_unprivileged_port_start=0 --tty --ulimit nofile=100:200 --update-delay 1s
--update-failure-action continue --update-max-failure-ratio 0.5 --update-monitor 1s --update-order start-first
--update-parallelism 3 --user 0 --workdir /www
""".split()

# What later clients can set too (25 and 28).
LATER = {"--health-start-interval": "1s", "--oom-score-adj": "50"}


def without_what_may_change(spec):
    spec = json.loads(json.dumps(spec))
    spec["TaskTemplate"]["ContainerSpec"].pop("Image")
    spec["TaskTemplate"]["Placement"].pop("Platforms", None)
    spec["Labels"] = {k: v for k, v in spec["Labels"].items() if not k.startswith("deployer.state.")}
    return spec


def test_only_image_platforms_state_and_credentials_change(lab, queues):
    lab.worker(queues)
    lab.push(WEB, "v1")
    lab.docker("network", "create", "--driver", "overlay", "back")
    lab.docker("secret", "create", "password", "-", stdin=b"x")
    lab.docker("config", "create", "settings", "-", stdin=b"y")
    given = ["--network", "name=back,alias=db,alias=store", "--secret", "source=password,target=pw,mode=0400"]
    given += ["--config", "source=settings,target=/etc/settings,uid=1"]
    known = lab.docker("service", "create", "--help")
    given += [word for name, value in LATER.items() if name in known for word in (name, value)]
    argv = [
        "service",
        "create",
        "--detach",
        "--quiet",
        "--with-registry-auth",
        "--name",
        "full",
        *given,
        *OPTIONS,
    ]
    lab.docker(*argv, f"{HOST}/{WEB}", "httpd", "-f", "-p", "8100", "-h", "/")
    before = lab.inspect("full")
    assert len(before["Spec"]["TaskTemplate"]["ContainerSpec"]) > 20
    new = lab.push(WEB, "v2")
    subprocess.run(
        [sys.executable, "-m", "deployer", "update", "full"], env=lab.environment(queues), check=True
    )
    wait_until(lambda: lab.image_of("full") == f"{HOST}/{WEB}@{new}", what="the update")
    after = lab.inspect("full")
    assert without_what_may_change(after["Spec"]) == without_what_may_change(before["Spec"])
    assert after["Spec"]["TaskTemplate"]["Placement"]["Platforms"] == [
        {"Architecture": "amd64", "OS": "linux"}
    ]
    state = {k for k in after["Spec"]["Labels"] if k.startswith("deployer.state.")}
    # It never came up (its health check wants a shell), so there is nothing to go back to.
    assert {f"deployer.state.{k}" for k in ("image", "task", "by", "at", "template")} == state


@pytest.mark.parametrize(
    "options", [["--mode", "global"], ["--mode", "replicated-job"], ["--mode", "global-job"]]
)
def test_global_services_are_updated_and_jobs_are_not_run_again(lab, queues, options):
    worker = lab.worker(queues)
    old = lab.push(WEB, "v1", **({} if options[1] == "global" else {"kind": "job"}))
    lab.create("it", WEB, *options, port=8101, wait=False)
    wait_until(lambda: lab.tasks_of("it"), what="a first task")
    new = lab.push(WEB, "v2")
    subprocess.run(
        [sys.executable, "-m", "deployer", "update", "it"], env=lab.environment(queues), check=True
    )
    wait_until(lambda: "of service it ended" in worker.text, 40, "the end of the deployment")
    wanted = new if options[1] == "global" else old
    assert lab.image_of("it").endswith(wanted)
    assert ("ended: updated" if wanted == new else "ended: ignored, it is a job") in worker.text


def test_a_job_is_run_again_where_its_label_asks_for_it(lab, queues):
    worker = lab.worker(queues)
    lab.push(WEB, "v1", kind="job")
    options = ("--mode", "replicated-job", "--replicas", "2", "--label", "deployer.run-job=true")
    lab.create("migrate", WEB, *options, wait=False)
    wait_until(lambda: len(lab.tasks_of("migrate")) == 2, what="the first run")
    new = lab.push(WEB, "v2", kind="job")
    argv = [sys.executable, "-m", "deployer", "update", "migrate"]
    subprocess.run(argv, env=lab.environment(queues), check=True)
    wait_until(lambda: "of service migrate ended" in worker.text, 40, "the end of the deployment")
    assert "ended: updated, 2/2 complete" in worker.text
    done = [task for task in lab.tasks("migrate") if task["Spec"]["ContainerSpec"]["Image"].endswith(new)]
    assert [task["Status"]["State"] for task in done] == ["complete", "complete"]
