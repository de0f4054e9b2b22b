"""Pages with ```console blocks, and a bash at a terminal that runs what they say."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

ROWS, COLUMNS = 50, 200
FENCE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARKER = re.compile(r"^<!-- run: (\S+), (.+?)(?: to (.+))? -->$", re.MULTILINE)
# What a terminal does not show as text: a return to a line that is there already counts as a new line.
CURSOR = re.compile(r"\x1b\[\d*[A-H]|\r(?!\n)")
CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[=>]|\r")
END = re.compile(rb"\x01(\d+)\x02")
# Runs one file after another in the same shell; the first command that fails ends it.
LOOP = r"""
set -eo pipefail
cd "$1" && shift
trap 'printf "\001%d\002" $?' EXIT
while read -r script <&3; do . "$script"; printf '\001%d\002' $?; done
"""


@dataclass(frozen=True)
class Command:
    """A command of a page, and the lines that the page shows below it."""

    text: str
    shown: tuple[str, ...]
    where: str  # the page and the section


def commands(page: Path) -> Iterator[Command]:
    """The commands of a page's console blocks, in order.

    Where the page says `<!-- run: other.md, First to Last -->` those of the other page's sections come, from
    the one whose heading begins with "First" to the one that begins with "Last".
    """
    for heading, text in sections(page):
        # Each block, and each marker, where it stands.
        found = sorted([*FENCE.finditer(text), *MARKER.finditer(text)], key=lambda match: match.start())
        for match in found:
            if match.re is FENCE:
                yield from _commands(match[1], f"{page.name}, {heading}")
            else:
                yield from _of_another(page.with_name(match[1]), match[2], match[3] or match[2])


def _of_another(page: Path, first: str, last: str) -> Iterator[Command]:
    chosen = list(dropwhile(lambda section: not section[0].startswith(first), sections(page)))
    assert chosen, f"{page.name} has no section {first}"
    for heading, text in chosen:
        for match in FENCE.finditer(text):
            yield from _commands(match[1], f"{page.name}, {heading}")
        if heading.startswith(last):
            return
    raise AssertionError(f"{page.name} has no section {last} behind {first}")


def sections(page: Path) -> list[tuple[str, str]]:
    """The headings of the second level, each with its text; what is above the first has none."""
    parts = re.split(r"^## (.+)$", page.read_text(), flags=re.MULTILINE)
    return [("", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]


def _commands(block: str, where: str) -> Iterator[Command]:
    """A command begins with "$ "; it goes on until bash has all of it; what follows is what it prints."""
    text, shown = "", []
    for line in block.splitlines():
        if line.startswith("$ "):
            if text:
                yield Command(text, tuple(shown), where)
            text, shown = line[2:], []
        elif not shown and not _is_whole(text):
            text += f"\n{line}"
        else:
            shown.append(line)
    assert text, f"a block without a command: {where}"
    yield Command(text, tuple(shown), where)


def _is_whole(text: str) -> bool:
    """Whether bash would run it rather than ask for more."""
    if text.endswith("\\"):
        return False
    done = subprocess.run(["bash", "-n", "-c", text], capture_output=True, text=True)
    return "unexpected" not in done.stderr


def pattern(shown: Sequence[str]) -> re.Pattern[str]:
    """What the lines of a page stand for: `…` for anything, a line of its own for any lines."""
    lines = []
    for line in shown:
        if line.strip() == "…":
            lines.append(r"(?:.*\n)*?")
            continue
        words = [re.escape(word).replace("…", ".*?") for word in line.split()]
        lines.append(r"\s*" + r"\s+".join(words) + r"[^\S\n]*\n")
    return re.compile(r"(?:\s*\n)*" + "".join(lines) + r"\s*\Z")


class Terminal:
    """A bash whose input and output are a terminal; it runs one command after another, all in one shell.

    Args:
        argv: what to start it with: `["nsenter", …]`.
        directory: where it starts.
        scripts: a directory for its own use.
        env: its whole environment.
    """

    def __init__(self, argv: Sequence[str], directory: Path, scripts: Path, env: Mapping[str, str]) -> None:
        self.transcript = ""
        self._scripts = scripts
        self._number = 0
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        attributes = termios.tcgetattr(slave)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        told, self._tell = os.pipe()
        given = shlex.join([*argv, "bash", "-c", LOOP, "bash", str(directory)]) + f" 3<&{told}"
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec {given}"],
            env=dict(env),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            pass_fds=[told],
            start_new_session=True,
        )
        os.close(slave)
        os.close(told)

    def run(self, text: str, timeout: float = 120) -> tuple[int, str]:
        """Run a command; its exit status, and what a person has read when it ends.

        Raises:
            TimeoutError: it has not ended.
        """
        self._number += 1
        script = self._scripts / f"{self._number}.sh"
        script.write_text(text + "\n")
        os.write(self._tell, f"{script}\n".encode())
        until, said = time.monotonic() + timeout, b""
        while not (ended := END.search(said)):
            ready = select.select([self._master], [], [], max(0.0, until - time.monotonic()))[0]
            if not ready:
                raise TimeoutError(f"{text} runs for {timeout:g} s: {_readable(said)}")
            said += os.read(self._master, 65536)
        printed = _readable(said[: ended.start()])
        self.transcript += f"$ {text}\n{printed}"
        return int(ended[1]), printed

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        os.close(self._tell)
        os.close(self._master)


def _readable(said: bytes) -> str:
    return CONTROL.sub("", CURSOR.sub("\n", said.decode(errors="replace")))
