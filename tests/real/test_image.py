"""The image: built and run; and the proxy in front of the engine's socket."""

import json
import re
import shlex
import signal
import socket
import time
from base64 import b64encode
from functools import partial

import pytest
import yaml
from paths import ROOT
from stack_lab import OURS

import deployer
from lab import HOST, container, wait_until
from lab.processes import free_port

WEB = "team/web:latest"
MB = 1_000_000
SAFE = ["--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp"]


def run(lab, image, *argv, options=()):
    return lab.docker("run", "--rm", "--network", "none", *SAFE, *options, image, *argv)


def inspect(lab, image):
    return json.loads(lab.docker("image", "inspect", image))[0]


@pytest.mark.real
def test_the_image_is_small_says_what_it_is_and_runs_as_nobody(lab, image):
    found, base = inspect(lab, image), inspect(lab, container.BASE)
    assert found["Size"] - base["Size"] < 165 * MB
    config = found["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] is None
    assert config["Healthcheck"]["Test"] == ["CMD", "deployer", "health"]
    assert "DEPLOYER_HEALTH_FILE=/tmp/deployer.health" in config["Env"]
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels["version"] == deployer.__version__
    assert labels["licenses"] == "MIT"
    assert labels["title"] == "swarm-ecr-deployer"
    assert labels["base.name"] == container.BASE


@pytest.mark.real
def test_every_command_runs_on_a_read_only_file_system_without_capabilities(lab, image, tmp_path):
    assert run(lab, image, "deployer", "--version") == f"deployer, version {deployer.__version__}"
    queue = ["--env", "DEPLOYER_TASK_QUEUE=https://sqs.eu-central-1.amazonaws.com/123456789012/tasks"]
    queue += ["--env", "AWS_REGION=eu-central-1"]
    assert "deployersqs" in run(lab, image, "celery", "-A", "deployer", "report", options=queue)
    for part in ("worker", "beat", "flower"):
        assert "Usage: celery" in run(lab, image, "celery", "-A", "deployer", part, "--help", options=queue)
    assert "--port" in run(lab, image, "deployer", "webhook", "--help")
    run(lab, image, "python3", "-c", "import deployer.triggers.webhook.server")
    own = tmp_path / "celeryconfig.py"
    own.write_text("broker_url = 'memory://'\ntimezone = 'Antarctica/Troll'\n")
    mounted = [*queue, "--volume", f"{own}:/etc/deployer/celeryconfig.py:ro"]
    ask = "from deployer.app import app; print(app.conf.timezone)"
    assert run(lab, image, "python3", "-c", ask, options=mounted) == "Antarctica/Troll"
    assert "Antarctica/Troll" in run(lab, image, "celery", "-A", "deployer", "report", options=mounted)


@pytest.mark.real
def test_the_image_holds_nothing_that_its_user_could_change_nor_a_tool_to_install_more(lab, image):
    owned = "find / -xdev \\( -user 10001 -o -perm -o+w \\) ! -type l ! -path '/proc/*' ! -path '/sys/*' ! -path '/dev/*'"
    writable = run(lab, image, "sh", "-c", f"{owned} 2>/dev/null || true").split()
    assert set(writable) <= {"/data", "/tmp", "/run/lock", "/var/lock", "/var/tmp"}
    assert run(lab, image, "sh", "-c", "command -v pip pip3 || true") == ""


@pytest.mark.real
def test_the_same_sources_make_the_same_layers(lab, image):
    container.build(lab, "again", fresh=True)
    assert inspect(lab, "again")["RootFS"]["Layers"] == inspect(lab, image)["RootFS"]["Layers"]


@pytest.mark.real
@pytest.mark.parametrize("command", [["deployer", "bridge"], ["celery", "-A", "deployer", "worker"]])
def test_a_container_becomes_healthy_and_ends_in_good_order_on_sigterm(lab, queues, image, inward, command):
    inward(lab.aws.port)
    env = lab.environment(queues, REDIS_URL="")
    passed = [f"--env={key}={env[key]}" for key in env if key.startswith(("AWS_", "DEPLOYER_"))]
    options = ["--detach", "--network", "host", "--health-interval", "1s", *SAFE, *passed]
    made = lab.docker("run", *options, image, *command)
    status = partial(lab.docker, "inspect", "--format", "{{.State.Health.Status}}", made)
    wait_until(lambda: status() == "healthy", 40, "a healthy container", every=0.3)
    lab.docker("stop", "--time", "20", made)
    state = json.loads(lab.docker("inspect", "--format", "{{json .State}}", made))
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
    lab.docker("rm", made)


class Alone:
    """A part of the stack file in a container of its own: with its command, its health check and its grace.

    Only how often it is checked differs, and that it has the host's network.
    """

    def __init__(self, lab, name, image, *options, **replaced):
        stacks = [
            yaml.safe_load((ROOT / "deploy" / file).read_text())
            for file in ("stack.yml", "stack.webhook.yml")
        ]
        service = next(one["services"][name] for one in stacks if name in one["services"]) | replaced
        self.lab, self.name = lab, name
        self.grace = float(service["stop_grace_period"].removesuffix("s"))
        check = service.get("healthcheck", {})
        self.is_checked = not check.get("disable")
        argv = ["--health-interval=1s", "--health-timeout=3s", "--health-retries=1"]
        if not self.is_checked:
            argv = ["--no-healthcheck"]
        elif check:
            kind, *words = check["test"]
            argv.append(f"--health-cmd={words[0] if kind == 'CMD-SHELL' else shlex.join(words)}")
        where = ["--detach", "--init", "--network", "host", *SAFE]
        self.id = lab.docker("run", *where, *argv, *options, image, *service["command"])

    def state(self):
        return self.lab.engine.get(f"/containers/{self.id}/json")["State"]

    def health(self):
        return self.state()["Health"]["Status"]

    def signal(self, name):
        """To what its init has started."""
        children = r"grep -l '^PPid:\s*1$' /proc/[0-9]*/status | sed 's/[^0-9]//g'"
        self.lab.docker("exec", self.id, "sh", "-c", f"kill -{name} $({children})")

    def stop(self):
        """How long it took to end, in seconds, and its exit code."""
        begun = time.monotonic()
        self.lab.docker("stop", "--time", f"{self.grace:.0f}", self.id)
        return time.monotonic() - begun, self.state()["ExitCode"]


@pytest.mark.real
def test_every_part_tells_when_it_hangs_and_ends_within_its_grace(
    lab, queues, image, servers, inward, tmp_path
):
    """Bridge and worker that hang are in test_health.py."""
    inward(lab.aws.port)
    inward(lab.redis.port)
    env = lab.environment(queues, RECONCILE_INTERVAL="10", WEBHOOK_SECRETS="plain=webhook-secret-of-24-chars")
    passed = [f"--env={key}={env[key]}" for key in env if key.startswith(("AWS_", "DEPLOYER_"))]
    (tmp_path / "url").write_text("redis://:redis-password@redis:6379/0\n")
    secret = [f"--volume={tmp_path}/url:/run/secrets/deployer_redis_url:ro", "--volume=/data", "--user=999"]
    config = [f"--volume={ROOT}/deploy/socket-proxy/haproxy.cfg:/etc/socket-proxy.cfg:ro"]
    config += [f"--volume={lab.engine.root}/docker.sock:/var/run/docker.sock:ro"]
    parts = [
        Alone(lab, "beat", image, *passed),
        Alone(lab, "flower", image, *passed, "--volume=/data", "--env=FLOWER_BASIC_AUTH=operator:password"),
        Alone(lab, "webhook", image, *passed),
        Alone(lab, "redis", "lab/redis", *secret),
        Alone(lab, "socket-proxy", "lab/haproxy", *config),
    ]
    checked = [part for part in parts if part.is_checked]
    wait_until(lambda: all(part.health() == "healthy" for part in checked), 40, "health", every=0.3)
    wait_until(lambda: lab.aws.count(queues.tasks), 20, "beat's first task")

    hung = [part for part in checked if part.name != "webhook"]  # its file tells after half a minute
    for part in hung:
        part.signal("STOP")
    wait_until(
        lambda: all(part.health() == "unhealthy" for part in hung), 30, "what hangs is told", every=0.3
    )
    for part in hung:
        part.signal("CONT")
    wait_until(lambda: all(part.health() == "healthy" for part in hung), 30, "health again", every=0.3)

    ended = {part.name: part.stop() for part in parts}
    assert {name: code for name, (_, code) in ended.items() if code not in {0, 128 + signal.SIGTERM}} == {}
    assert {ended[name][1] for name in OURS if name in ended} == {0}
    assert all(ended[part.name][0] < part.grace for part in parts), ended


# -- the socket proxy -------------------------------------------------------------------------------------


@pytest.fixture
def proxy(lab, request):
    """Sends raw HTTP to the proxy: first line, headers and body in, status and body out."""
    container.programs(lab, "lab/haproxy", ["haproxy"], 0)
    port = free_port()
    config = lab.directory / "haproxy.cfg"
    text = (ROOT / "deploy/socket-proxy/haproxy.cfg").read_text()
    config.write_text(text.replace("bind :2375", f"bind 127.0.0.1:{port}"))
    mounts = ["-v", f"{config}:/proxy.cfg:ro", "-v", f"{lab.engine.root}/docker.sock:/var/run/docker.sock:ro"]
    lab.docker(
        "run", "-d", "--name", "proxy", "--network", "host", "--cap-drop", "ALL", *mounts,
        "--env", f"DEPLOYER_TASK_LOGS={getattr(request, 'param', 0)}",
        "lab/haproxy", "haproxy", "-f", "/proxy.cfg",
    )  # fmt: skip

    def send(line, headers="", body=""):
        text = f"{line} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n{headers}"
        text += f"Content-Length: {len(body)}\r\n\r\n{body}" if "Length" not in headers else f"\r\n{body}"
        with lab.namespaces.call(lambda: socket.create_connection(("127.0.0.1", port), 10)) as connection:
            connection.settimeout(20)
            connection.sendall(text.encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        return (int(answer.split()[1]) if answer else 0), answer.partition(b"\r\n\r\n")[2].decode()

    def answers():
        try:
            return send("GET /_ping")[0] == 200
        except OSError:
            return False

    wait_until(answers, 20, "the proxy")
    yield send
    lab.docker("rm", "--force", "proxy")


REFUSED = [
    "GET /containers/json", "POST /containers/create", "POST /containers/web/exec", "POST /containers/web/start",
    "POST /exec/1/start", "GET /exec/1/json", "GET /secrets", "GET /secrets/one", "POST /secrets/create",
    "GET /volumes", "POST /volumes/create", "GET /images/json", "POST /images/create?fromImage=x", "POST /build",
    "POST /session", "POST /grpc", "GET /events", "GET /nodes", "POST /swarm/leave", "GET /swarm", "POST /auth",
    "GET /plugins", "POST /services/create", "DELETE /services/web", "GET /services/web/logs", "GET /tasks/abc/logs", "POST /services/web",
    "PUT /services/web/update", "POST /networks/create", "GET /configs", "GET /configs/other", "DELETE /configs/one",
    "GET /system/df", "POST /info", "POST /version", "CONNECT /info", "TRACE /info", "post /containers/create",
    # What the engine's router might read as another path than the proxy does.
    "GET /v1.41/containers/json", "GET //containers/json", "GET /v1.41//containers/json", "GET /../containers/json",
    "GET /services/../containers/json", "GET /services/%2e%2e/containers/json", "GET /services/..",
    "GET /_ping/../containers/json", "GET /_ping%2f..%2fcontainers/json", "GET /info/", "GET /info;x",
    "GET /distribution/../containers/json", "GET /distribution/a/../../containers/json",
    "GET /distribution/a/..%2f..%2fcontainers/json", "POST /services/a/../../containers/create/update",
    "POST /services/web%2fupdate", "GET http://engine/containers/json", "GET /v1.41/../containers/json",
    "GET /containers/json?/info", "GET /containers/json#/info", "GET /vx/info", "GET /v1.41/v1.41/info",
]  # fmt: skip


@pytest.mark.real
@pytest.mark.parametrize("proxy", [20], indirect=True)
def test_the_socket_proxy_lets_the_log_of_a_task_through_only_where_it_is_asked_for(lab, proxy):
    lab.push(WEB, "v1")
    lab.create("web", WEB)
    [task] = lab.tasks("web")
    status, said = proxy(f"GET /tasks/{task['ID']}/logs?stdout=1&tail=1")
    assert status == 200, said
    assert proxy(f"GET /tasks/{task['ID']}")[0] == 403
    assert proxy("GET /services/web/logs?stdout=1")[0] == 403
    assert proxy("GET /tasks/../containers/logs")[0] == 403


@pytest.mark.real
def test_the_socket_proxy_lets_through_what_the_deployer_asks_and_nothing_else(lab, proxy):
    lab.push(WEB, "v1")
    lab.create("web", WEB, "--replicas", "0")
    before = [one["Id"] for one in lab.engine.get("/containers/json?all=1")]
    create = json.dumps({"Image": f"{HOST}/{WEB}"})
    told = {line: proxy(line, "Content-Type: application/json\r\n", create)[0] for line in REFUSED}
    # HAProxy 3.2 hangs up on a CONNECT with a body instead of an answer.
    closed = {line for line, status in told.items() if line.startswith("CONNECT") and status == 0}
    assert {line: told[line] for line in told.keys() - closed if told[line] not in {400, 403}} == {}
    # A second request that is hidden in the first, and a change of protocol.
    hidden = "POST /containers/create HTTP/1.1\r\nHost: engine\r\nContent-Length: 2\r\n\r\n{}"
    both = "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"
    assert "containers" not in proxy("GET /_ping", both, f"0\r\n\r\n{hidden}")[1]
    assert proxy("GET /_ping", "Upgrade: h2c\r\nConnection: Upgrade\r\n")[0] == 200
    assert [one["Id"] for one in lab.engine.get("/containers/json?all=1")] == before
    assert "socket proxy" in json.loads(proxy("GET /secrets")[1])["message"]

    token = b64encode(
        json.dumps({"username": "AWS", "password": lab.password, "serveraddress": HOST}).encode()
    )
    login = f"X-Registry-Auth: {token.decode()}\r\n"
    api = f"/v{lab.engine.get('/version')['ApiVersion']}"
    for line in (
        "HEAD /_ping",
        "GET /version",
        f"GET {api}/info",
        f"GET {api}/services",
        "GET /services/web",
    ):
        assert proxy(line)[0] == 200, line
    assert proxy(f'GET {api}/tasks?filters={{"service":["web"]}}')[0] == 200
    for reference in (WEB, f"{WEB}@{lab.push(WEB, 'v1')}"):
        assert proxy(f"GET {api}/distribution/{HOST}/{reference}/json", login)[0] == 200
    assert proxy(f"GET {api}/configs/deployer.ledger")[0] == 404  # the engine's own
    service = lab.inspect("web")
    spec = service["Spec"] | {"Labels": {"seen": "yes"}}
    path = f"{api}/services/{service['ID']}/update?version={service['Version']['Index']}"
    status, said = proxy(f"POST {path}", "Content-Type: application/json\r\n", json.dumps(spec))
    assert (status, lab.inspect("web")["Spec"]["Labels"]) == (200, {"seen": "yes"}), said


def test_the_proxy_knows_every_call_that_the_deployer_makes():
    """A new call needs a line in haproxy.cfg, and then one here."""
    folder = ROOT / "deployer" / "targets" / "swarm"
    code = "".join((folder / name).read_text() for name in ("client.py", "engine.py"))
    calls = re.findall(r'(?:_get|_each|_logs|ask|"GET",|path, headers =)\(?\s*f?"(/[^"]*)"', code)
    calls += [f"POST {path}" for path in re.findall(r'_write\(\s*f?"(/[^"]*)"', code)]
    assert {re.sub(r"{[^}]*}", "*", call) for call in calls} == {
        "/_ping", "/services", "/services/*", "/info", "/tasks", "/distribution/*/json", "/configs/*",
        "/services/*/update", "POST /configs/create", "POST /configs/*/update", "/tasks/*/logs",
        "/services/*/logs",  # of `deployer logs` alone, which does not ask by the proxy
    }  # fmt: skip
