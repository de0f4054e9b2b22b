"""What is built from the sources: a wheel that works outside of them, and lock files that fit."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile

import pytest
import yaml
from click.testing import CliRunner
from packaging.requirements import Requirement
from paths import ROOT

import deployer
from deployer.cli import main

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TASKS = "https://sqs.eu-central-1.amazonaws.com/123456789012/tasks"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist, and the wheel that is made of the sdist."""
    made, sources = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("sources")
    for name in ("pyproject.toml", "README.md", "LICENSE", "celeryconfig.py"):
        shutil.copy(ROOT / name, sources)
    shutil.copytree(ROOT / "deployer", sources / "deployer", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(made), str(sources)]
    subprocess.run(command, check=True, capture_output=True)
    return next(made.glob("*.tar.gz")), next(made.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Runs a command of a fresh environment that has the wheel, far from the sources."""
    root, elsewhere = tmp_path_factory.mktemp("venv"), tmp_path_factory.mktemp("elsewhere")
    venv.create(root, with_pip=True)
    site = next(root.glob("lib/python*/site-packages"))
    # The dependencies are those that this Python has; what is editable there is not followed from here.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [root / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", built[1]]
    subprocess.run(pip, check=True, capture_output=True)

    def run(*argv, cwd=elsewhere, **env):
        base = {
            "PATH": os.environ["PATH"],
            "HOME": str(elsewhere),
            "DEPLOYER_TASK_QUEUE": TASKS,
            "AWS_REGION": "eu-central-1",
        }
        return subprocess.run(
            [root / "bin" / argv[0], *argv[1:]],
            cwd=cwd,
            env=base | env,
            capture_output=True,
            text=True,
            timeout=60,
        )

    # A wrapper of an entry point is made for the environment that the package is installed in; so is ours of Celery's.
    celery = root / "bin" / "celery"
    celery.write_text(f"#!{root}/bin/python\nfrom celery.__main__ import main\nmain()\n")
    celery.chmod(0o755)
    return run


@pytest.mark.real
def test_the_wheel_holds_the_package_and_its_licence_and_nothing_else(built):
    names = set(zipfile.ZipFile(built[1]).namelist())
    paths = (path for path in (ROOT / "deployer").rglob("*") if path.is_file() and path.suffix != ".pyc")
    code = {path.relative_to(ROOT).as_posix() for path in paths}
    info = f"swarm_ecr_deployer-{deployer.__version__}.dist-info/"
    assert {name for name in names if not name.startswith(info)} == {*code, "celeryconfig.py"}
    assert f"{info}licenses/LICENSE" in names
    told = zipfile.ZipFile(built[1]).read(f"{info}METADATA").decode()
    assert "License-Expression: MIT" in told
    with tarfile.open(built[0]) as sdist:
        files = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "celeryconfig.py", "deployer/py.typed"} <= files


@pytest.mark.real
def test_the_wheel_works_outside_of_the_sources(installed):
    done = installed("deployer", "--version")
    assert (done.returncode, done.stdout) == (0, f"deployer, version {deployer.__version__}\n"), done.stderr
    report = installed("celery", "-A", "deployer", "report")
    assert report.returncode == 0, report.stderr
    assert TASKS in report.stdout
    where = installed(
        "python", "-c", "import deployer, celeryconfig; print(deployer.__file__, celeryconfig.__file__)"
    )
    assert str(ROOT) not in where.stdout, where.stderr


@pytest.mark.real
def test_a_celeryconfig_of_the_working_directory_replaces_the_one_of_the_package(installed, tmp_path):
    (tmp_path / "celeryconfig.py").write_text("timezone = 'Antarctica/Troll'\nbroker_url = 'memory://'\n")
    assert "Antarctica/Troll" in installed("celery", "-A", "deployer", "report", cwd=tmp_path).stdout
    sent = installed("deployer", "update", "web", cwd=tmp_path)
    assert sent.returncode == 0, sent.stderr  # into memory: SQS would have refused


@pytest.mark.real
def test_the_shell_completes_commands(installed):
    ask = {"_DEPLOYER_COMPLETE": "bash_complete", "COMP_WORDS": "deployer he", "COMP_CWORD": "1"}
    assert installed("deployer", **ask).stdout == "plain,health\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_completion_is_printed(shell):
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert f"_DEPLOYER_COMPLETE={shell}_complete" in done.output


def locked(name):
    return dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", (ROOT / name).read_text()))


def test_the_lock_file_fits_what_the_project_asks_for():
    pinned = locked("requirements.lock")
    extras = PROJECT["optional-dependencies"]
    for line in [*PROJECT["dependencies"], *extras["flower"], *extras["webhook"]]:
        asked = Requirement(line)
        assert asked.specifier.contains(pinned[asked.name]), (
            f"{line}: write the lock file anew (CONTRIBUTING.md)"
        )
    text = (ROOT / "requirements.lock").read_text()
    for entry in re.split(r"(?m)^(?=\S+==)", text)[1:]:
        assert "--hash=sha256:" in entry, entry
    assert set(locked("requirements-build.lock")) == {"setuptools"}


def test_the_version_is_the_same_everywhere():
    assert PROJECT["version"] == deployer.__version__
    assert f"ARG VERSION={deployer.__version__}\n" in (ROOT / "Dockerfile").read_text()
    assert f"## {deployer.__version__} " in (ROOT / "CHANGELOG.md").read_text()


STACKS = sorted(path.name for path in (ROOT / "deploy").glob("stack*.yml"))


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_file_bounds_every_service_and_names_what_it_uses(name):
    whole = yaml.safe_load((ROOT / "deploy" / name).read_text())
    base = yaml.safe_load((ROOT / "deploy" / "stack.yml").read_text())
    for part, service in whole["services"].items():
        if "image" not in service:  # adds to one of stack.yml
            assert part in base["services"]
            continue
        assert service["init"], part
        assert service["read_only"], part
        assert service["cap_drop"] == ["ALL"], part
        assert service["logging"]["options"]["max-size"], part
        assert service["deploy"]["endpoint_mode"] == "dnsrr", part  # works without IPVS
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, part
        for port in service.get("ports", []):
            assert port["mode"] == "host", part
        sockets = [volume for volume in service["volumes"] if "docker.sock" in volume["target"]]
        assert bool(sockets) == (part == ("worker" if "plain" in name else "socket-proxy"))
    for config in whole.get("configs", {}).values():
        assert (ROOT / "deploy" / config["file"]).is_file()
    settings = set(re.findall(r"^ +(DEPLOYER_\w+):", (ROOT / "deploy" / name).read_text(), re.MULTILINE))
    known = set(
        re.findall(r"^\| `(DEPLOYER_\w+)`", (ROOT / "docs" / "reference.md").read_text(), re.MULTILINE)
    )
    assert settings <= known


def test_the_installation_guide_names_files_secrets_and_settings_that_there_are():
    guide = (ROOT / "docs" / "install.md").read_text()
    stacks = "".join((ROOT / "deploy" / name).read_text() for name in STACKS)
    for path in re.findall(r"`(deploy/[\w./-]+)`|-c (deploy/[\w.-]+)", guide):
        name = path[0] or path[1]
        assert (ROOT / name).exists() or name == "deploy/celeryconfig.py"
    for name in STACKS:
        assert f"`deploy/{name}`" in guide
    for secret in re.findall(r"docker secret create (\w+) -", guide):
        assert secret in stacks
    for variable in re.findall(r"`([A-Z]+_[A-Z_]+(?:IMAGE|SECRET))\b", guide):
        assert f"${{{variable}:" in stacks
    for volume in re.findall(r"`deployer_(\w+)`", guide.split("## Backup")[1].split("## ")[0]):
        assert f"source: {volume}, target" in stacks
