"""The Dockerfile and all shell of the project, the documentation's too, in the eyes of hadolint and shellcheck."""

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml
from paths import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
SCRIPTS = [ROOT / "lab" / "setup.sh", ROOT / ".ci" / "run"]
# In an example, variables and files come from the reader, who sees what fails.
EXAMPLE = "--exclude=SC1091,SC2034,SC2154,SC2155"


def complaints(program, *argv):
    """What a linter that is installed beside this Python has to say."""
    path = Path(sysconfig.get_path("scripts")) / program
    done = subprocess.run([path, *argv], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    return done.stdout.splitlines()


def typed(block):
    """What the reader of a console block types: lines after a prompt, with those that go on from them."""
    commands, more = [], False
    for line in block.splitlines():
        if line.startswith("$ "):
            commands.append(line[2:])
            more = True
        elif more and line.startswith("  "):
            commands.append(line)
        else:
            more = False  # what is answered
    return "\n".join(commands)


def examples():
    """The shell of the documentation: file and line of the block, and its commands."""
    for page in PAGES:
        text = page.read_text()
        for block in re.finditer(r"(?ms)^( *)```(console|sh)\n(.*?)^\1```$", text):
            body = re.sub(rf"(?m)^{block[1]}", "", block[3])
            commands = typed(body) if block[2] == "console" else body
            yield (
                f"{page.name}-{text.count(chr(10), 0, block.start()) + 1}",
                re.sub(r"<(\w+)>", r"\1", commands),
            )


def in_stacks():
    """The shell of the stack files: its place, and its text."""
    for path in sorted((ROOT / "deploy").glob("stack*.yml")):
        for part, service in yaml.safe_load(path.read_text())["services"].items():
            if "-ec" in service.get("command", []):
                yield f"{path.name}-{part}", service["command"][-1].replace("$$", "$")


def test_hadolint_finds_nothing_in_the_dockerfile():
    labels = ["title", "description", "licenses", "version", "revision", "base.name"]
    asked = [f"--require-label=org.opencontainers.image.{label}:text" for label in labels]
    assert (
        complaints("hadolint", "--no-color", "--failure-threshold=style", *asked, ROOT / "Dockerfile") == []
    )


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("RUN cd /tmp && sudo true", "DL3004"),
        ("ADD requirements.lock /lock/", "DL3020"),
        ("RUN cp $PWD/one /two", "SC2086"),
        ("USER root", "DL3002"),
    ],
)
def test_hadolint_would_find_it(line, rule, tmp_path):
    (tmp_path / "Dockerfile").write_text((ROOT / "Dockerfile").read_text() + line + "\n")
    assert rule in "".join(complaints("hadolint", "--no-color", tmp_path / "Dockerfile"))


def test_shellcheck_finds_nothing_in_the_scripts():
    assert complaints("shellcheck", "--format=gcc", *SCRIPTS) == []


def test_shellcheck_finds_nothing_in_what_the_documentation_and_the_stack_files_have_the_shell_do(tmp_path):
    found = [*examples(), *in_stacks()]
    assert len(found) > 30
    for name, text in found:
        (tmp_path / name).write_text(text + "\n")
    said = complaints("shellcheck", "--format=gcc", "--shell=bash", EXAMPLE, *sorted(tmp_path.iterdir()))
    assert [line.removeprefix(f"{tmp_path}/") for line in said] == []
