"""The image and the stack file: built, run, deployed on a real Swarm, and updated by themselves."""

import http.client
import json
import re
import shlex
import signal
import socket
import time
from base64 import b64encode
from functools import partial
from pathlib import Path

import pytest
import yaml

import deployer
from lab import HOST, container, wait_until
from lab.inward import Inward
from lab.processes import free_port

ROOT = Path(__file__).parent.parent
NAME = f"{HOST}/team/deployer:latest"
WEB = "team/web:latest"
MB = 1_000_000
SAFE = ["--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp"]
OURS = ("bridge", "worker", "beat", "flower", "webhook")
PARTS = (*OURS, "redis", "socket-proxy")


@pytest.fixture
def image(lab):
    """The name of the image, which is in the lab's engine."""
    container.build(lab, NAME)
    return NAME


@pytest.fixture
def inward(lab):
    """Ports inside that lead to servers of ours; they are closed at the end."""
    opened = []

    def open_port(port):
        opened.append(Inward(lab.namespaces, port))

    yield open_port
    for port in opened:
        port.close()


def run(lab, image, *argv, options=()):
    return lab.docker("run", "--rm", "--network", "none", *SAFE, *options, image, *argv)


def inspect(lab, image):
    return json.loads(lab.docker("image", "inspect", image))[0]


@pytest.mark.real
def test_the_image_is_small_says_what_it_is_and_runs_as_nobody(lab, image):
    found, base = inspect(lab, image), inspect(lab, container.BASE)
    assert found["Size"] - base["Size"] < 150 * MB
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
    run(lab, image, "python3", "-c", "import deployer.webhook")
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
    env = lab.environment(queues, RECONCILE_INTERVAL="1", WEBHOOK_SECRETS="plain=webhook-secret-of-24-chars")
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
def proxy(lab):
    """Sends raw HTTP to the proxy: first line, headers and body in, status and body out."""
    container.programs(lab, "lab/haproxy", ["/usr/sbin/haproxy"], 0)
    port = free_port()
    config = lab.directory / "haproxy.cfg"
    text = (ROOT / "deploy/socket-proxy/haproxy.cfg").read_text()
    config.write_text(text.replace("bind :2375", f"bind 127.0.0.1:{port}"))
    mounts = ["-v", f"{config}:/proxy.cfg:ro", "-v", f"{lab.engine.root}/docker.sock:/var/run/docker.sock:ro"]
    lab.docker(
        "run", "-d", "--name", "proxy", "--network", "host", "--cap-drop", "ALL", *mounts,
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
    "GET /plugins", "POST /services/create", "DELETE /services/web", "GET /services/web/logs", "POST /services/web",
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
def test_the_socket_proxy_lets_through_what_the_deployer_asks_and_nothing_else(lab, proxy):
    lab.push(WEB, "v1")
    lab.create("web", WEB, "--replicas", "0")
    before = [one["Id"] for one in lab.engine.get("/containers/json?all=1")]
    create = json.dumps({"Image": f"{HOST}/{WEB}"})
    told = {line: proxy(line, "Content-Type: application/json\r\n", create)[0] for line in REFUSED}
    assert {line: status for line, status in told.items() if status not in {400, 403}} == {}
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
    for line in (
        "HEAD /_ping",
        "GET /version",
        "GET /v1.41/info",
        "GET /v1.41/services",
        "GET /services/web",
    ):
        assert proxy(line)[0] == 200, line
    assert proxy('GET /v1.41/tasks?filters={"service":["web"]}')[0] == 200
    for reference in (WEB, f"{WEB}@{lab.push(WEB, 'v1')}"):
        assert proxy(f"GET /v1.41/distribution/{HOST}/{reference}/json", login)[0] == 200
    assert proxy("GET /v1.41/configs/deployer.ledger")[0] == 404  # the engine's own
    service = lab.inspect("web")
    spec = service["Spec"] | {"Labels": {"seen": "yes"}}
    path = f"/v1.41/services/{service['ID']}/update?version={service['Version']['Index']}"
    status, said = proxy(f"POST {path}", "Content-Type: application/json\r\n", json.dumps(spec))
    assert (status, lab.inspect("web")["Spec"]["Labels"]) == (200, {"seen": "yes"}), said


def test_the_proxy_knows_every_call_that_the_deployer_makes():
    """A new call needs a line in haproxy.cfg, and then one here."""
    code = (ROOT / "deployer" / "swarm.py").read_text()
    calls = re.findall(r'_get\(\s*f?"(/[^"]*)"', code)
    calls += [
        f"{method} {path}" for method, path in re.findall(r'_request\(\s*"(\w+)",\s*f?"(/[^"]*)"', code)
    ]
    assert {re.sub(r"{[^}]*}", "*", call) for call in calls} == {
        "/services", "/services/*", "/info", "/tasks", "/distribution/*/json", "/configs/*",
        "POST /services/*/update", "POST /configs/create", "POST /configs/*/update",
    }  # fmt: skip


# -- the stack --------------------------------------------------------------------------------------------


class Stack:
    """The stack of a stack file, with SQS outside of it."""

    def __init__(self, lab, queues, inward, *files, **variables):
        self.lab, self.queues = lab, queues
        inward(lab.aws.port)
        gateway = lab.docker(
            "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", "docker_gwbridge"
        )
        # Where containers of an overlay network find what listens inside on every address.
        aws = partial(str.replace, lab.aws.endpoint, "127.0.0.1", gateway)
        self._secret("aws_credentials", "[default]\naws_access_key_id = test\naws_secret_access_key = test\n")
        self._secret("deployer_redis_url", "redis://:redis-password@redis:6379/0\n")
        self._secret("deployer_webhook_secrets", "plain=webhook-secret-of-24-chars\n")
        self._secret("flower_basic_auth", "operator:flower-password\n")
        lab.docker("node", "update", "--label-add", "deployer.state=true", lab.docker("node", "ls", "-q"))
        paths = [ROOT / "deploy" / name for name in files]
        text = "".join(path.read_text() for path in paths)
        self.parts = [part for part in PARTS if re.search(rf"^  {part}:$", text, re.MULTILINE)]
        extra = {part: {"environment": {"AWS_ENDPOINT_URL": aws()}} for part in OURS if part in self.parts}
        if "stack.prometheus.yml" in files:
            extra["prometheus"] = {"deploy": {"replicas": 0}}  # there is none here
        override = lab.directory / "override.json"
        override.write_text(json.dumps({"version": "3.8", "services": extra}))
        given = {
            "DEPLOYER_IMAGE": NAME,
            "AWS_REGION": "eu-central-1",
            "DEPLOYER_QUEUE": queues.events.replace("127.0.0.1", gateway),
            "DEPLOYER_TASK_QUEUE": queues.tasks.replace("127.0.0.1", gateway),
            "REDIS_IMAGE": "lab/redis",
            "SOCKET_PROXY_IMAGE": "lab/haproxy",
            "DOCKER_SOCKET": f"{lab.engine.root}/docker.sock",
        }
        container.deploy(lab, "deployer", [*paths, override], given | variables)
        try:
            wait_until(lambda: all(self.is_up(part) for part in self.parts), 90, "the stack", every=0.3)
        except TimeoutError:
            down = [f"deployer_{part}" for part in self.parts if not self.is_up(part)]
            tasks = [lab.docker("service", "ps", "--no-trunc", name) for name in down]
            pytest.fail("\n".join([*tasks, *(lab.docker("service", "logs", name) for name in down)]))

    def _secret(self, name, text):
        self.lab.docker("secret", "create", name, "-", stdin=text.encode())

    def is_up(self, part):
        return self.lab.is_up(f"deployer_{part}")

    def publish(self, reference, digest):
        self.lab.aws.send(self.queues.events, json.dumps(self.lab.event(reference, digest)))

    def push(self, text):
        """Push another image of the web service and tell of it; its digest."""
        digest = self.lab.push(WEB, text)
        self.publish(WEB, digest)
        return digest

    def containers(self, part):
        label = f"label=com.docker.swarm.service.name=deployer_{part}"
        return self.lab.docker("ps", "--quiet", "--filter", label).split()

    def execute(self, part, *argv):
        return self.lab.docker("exec", self.containers(part)[0], *argv)

    def rolled_out(self, service, image, timeout=60):
        wait_until(lambda: self.lab.image_of(service) == image, timeout, f"{service} on {image}", every=0.2)


def flower(lab, path, login="operator:flower-password"):
    """What Flower answers on the port of the node: status and body."""

    def ask():
        connection = http.client.HTTPConnection("127.0.0.1", 5555, timeout=10)
        headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else {}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    return lab.namespaces.call(ask)


@pytest.fixture
def servers(lab):
    container.programs(lab, "lab/redis", ["/usr/bin/redis-server", "/usr/bin/redis-cli"], 999, ["data"])
    container.programs(lab, "lab/haproxy", ["/usr/sbin/haproxy"], 0)


@pytest.mark.real
def test_the_stack_rolls_out_pushes_also_while_it_is_scaled_and_then_itself(lab, image, servers, inward):
    # The emulator gives messages to the aborted long polls of workers that have ended.
    queues = lab.aws.queues(visibility=10, max_receives=50)
    lab.docker("push", "--quiet", image)
    lab.push(WEB, "v1")
    lab.create("web", WEB)
    stack = Stack(lab, queues, inward, "stack.yml", "stack.webhook.yml", "stack.prometheus.yml")

    # Pushes while workers come and go: each is rolled out, once.
    stack.rolled_out("web", f"{HOST}/{WEB}@{stack.push('v2')}")
    lab.docker("service", "scale", "--detach", "deployer_worker=5")
    stack.rolled_out("web", f"{HOST}/{WEB}@{stack.push('v3')}")
    wait_until(lambda: len(stack.containers("worker")) == 5 and stack.is_up("worker"), 60, "five workers")
    lab.docker("service", "scale", "--detach", "deployer_worker=2")
    newest = stack.push("v4")
    stack.rolled_out("web", f"{HOST}/{WEB}@{newest}")
    wait_until(lambda: lab.pages("web") == ["v4"], 30, "the page")
    assert len(lab.tasks("web")) == 4

    # Flower is behind its password and knows them; the bridge cannot reach the engine.
    assert flower(lab, "/api/tasks", login=None)[0] == 401

    def has_ended():
        told = json.loads(flower(lab, "/api/tasks")[1]).values()
        return any(
            newest in str(task["result"]) and "'outcome': 'updated'" in task["result"] for task in told
        )

    wait_until(has_ended, 60, "the last deployment in Flower", every=0.3)
    assert "web" in stack.execute("worker", "deployer", "history")
    reach = "import socket; socket.create_connection(('socket-proxy', 2375), 3)"
    assert stack.execute("worker", "python3", "-c", reach) == ""
    with pytest.raises(RuntimeError, match="Name or service not known|Temporary failure in name resolution"):
        stack.execute("bridge", "python3", "-c", reach)
    for part in OURS:
        status = dict(re.findall(r"(?m)^(\w+):\s*(\S+)", stack.execute(part, "cat", "/proc/self/status")))
        assert (status["Uid"], *(int(status[kind], 16) for kind in ("CapEff", "CapBnd"))) == ("10001", 0, 0)
        assert re.search(r"(?m)^\S+ / \S+ ro,", stack.execute(part, "cat", "/proc/self/mounts")), part

    # The optional parts: metrics where Prometheus asks for them, and a webhook.
    fetch = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).read().decode())"
    page = partial(stack.execute, "worker", "python3", "-c", fetch)
    assert 'deployer_events_total{kind="push"}' in page("http://tasks.bridge:9808/metrics")
    assert "deployer_updates_total" in page("http://tasks.worker:9808/metrics")
    assert "healthy" in page("http://webhook:8080/healthz")

    # A push of its own image: every part of it is replaced, and it goes on.
    made = lab.docker("create", image)
    lab.docker("commit", "--change", "LABEL generation=2", made, image)
    lab.docker("rm", made)
    lab.docker("push", "--quiet", image)
    own = re.search(r"sha256:\w+", lab.docker("image", "inspect", "--format", "{{.RepoDigests}}", image))[0]
    workers = set(stack.containers("worker"))
    stack.publish("team/deployer:latest", own)
    for part in OURS:
        stack.rolled_out(f"deployer_{part}", f"{image}@{own}", 120)

    def replaced():
        now = set(stack.containers("worker"))
        return len(now) == 2 and not now & workers and all(stack.is_up(part) for part in stack.parts)

    wait_until(replaced, 120, "new workers and no old ones", every=0.3)
    stack.rolled_out("web", f"{HOST}/{WEB}@{stack.push('v5')}")
    for part in OURS:
        done = partial(lab.inspect, f"deployer_{part}")
        wait_until(
            lambda done=done: done()["UpdateStatus"]["State"] == "completed", 90, f"the end for {part}"
        )


@pytest.mark.real
def test_the_plain_stack_needs_neither_proxy_nor_redis(lab, queues, image, inward):
    lab.docker("push", "--quiet", image)
    lab.push(WEB, "v1")
    lab.create("web", WEB)
    group = (lab.engine.root / "docker.sock").stat().st_gid
    stack = Stack(lab, queues, inward, "stack.plain.yml", DOCKER_GROUP=str(group))
    assert stack.parts == ["bridge", "worker", "beat"]
    stack.rolled_out("web", f"{HOST}/{WEB}@{stack.push('v2')}")
