"""What is known against the dependencies, whether they are needed, and under which licences they are."""

import email
import json
import re
import threading
import tomllib
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from paths import ROOT

from lab import container
from tools import audit

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PERMISSIVE = re.compile(r"MIT|ISC|(New )?BSD|Apache|PSF-2.0|MPL-2.0|OSI Approved :: (MIT|BSD|Apache|Mozilla)")


def report(*packages):
    return json.dumps({"dependencies": packages, "fixes": []})


GOOD = {"name": "good", "version": "1", "vulns": []}
BAD = {
    "name": "bad",
    "version": "1",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2"]}],
}
UNKNOWN = {"name": "unknown", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("said", "errors", "status", "line"),
    [
        (report(GOOD), "", audit.CLEAN, "osv.dev knows of nothing against 1 packages."),
        (report(GOOD, BAD), "", audit.KNOWN, "  bad 1: PYSEC-1 CVE-1; mended in 2"),
        (report(UNKNOWN, BAD), "", audit.KNOWN, "  bad 1: PYSEC-1 CVE-1; mended in 2"),
        (
            report(GOOD, UNKNOWN),
            "",
            audit.UNANSWERED,
            "osv.dev does not answer for 1 of 2 packages: unknown …",
        ),
        (report(), "", audit.UNANSWERED, "osv.dev does not answer for 0 of 0 packages:  …"),
        ("", "Traceback\nNo route to host\n", audit.UNANSWERED, "osv.dev cannot be asked: No route to host"),
        ("<html>", "", audit.UNANSWERED, "osv.dev cannot be asked: no reason is given"),
    ],
)
def test_a_source_that_does_not_answer_for_all_is_no_clean_bill(said, errors, status, line):
    verdict = audit.judge("osv.dev", said, errors)
    assert (verdict.status, verdict.lines[-1]) == (status, line)


class Advisories(BaseHTTPRequestHandler):
    """What osv.dev answers, if something were known against Celery and nothing else."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = {
            "id": "PYSEC-2026-1",
            "modified": "2026-01-01T00:00:00Z",
            "published": "2026-01-01T00:00:00Z",
        }
        known |= {"summary": "made up", "affected": [{"package": {"name": "celery", "ecosystem": "PyPI"}}]}
        body = json.dumps({"vulns": [known]} if asked["package"]["name"] == "celery" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.mark.real
def test_the_audit_tells_what_is_known_and_that_nobody_could_be_asked():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/v1/query"
    locks = [ROOT / name for name in audit.LOCKS]
    try:
        found = audit.judge("osv.dev", *audit.ask("osv", locks, ["--osv-url", url]))
    finally:
        server.shutdown()
        server.server_close()
    assert found.status == audit.KNOWN
    assert [line.split()[0] for line in found.lines[1:]] == ["celery"]
    gone = audit.judge("osv.dev", *audit.ask("osv", locks[1:], ["--osv-url", url]))
    assert gone.status == audit.UNANSWERED
    assert "cannot be asked" in gone.lines[0]
    assert len(gone.lines) == 1


# -- the lock file ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", audit.LOCKS)
def test_no_version_of_the_lock_file_is_a_preliminary_one(name):
    pinned = re.findall(r"(?m)^([\w.-]+)==(\S+)", (ROOT / name).read_text())
    assert pinned
    assert [one for one in pinned if Version(one[1]).is_prerelease] == []


@pytest.fixture(scope="module")
def wheels():
    """The metadata of each wheel of the image, by its name."""
    told = {}
    for path in container.wheels().glob("*.whl"):
        with zipfile.ZipFile(path) as wheel:
            name = next(one for one in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", one))
            metadata = email.message_from_bytes(wheel.read(name))
        told[canonicalize_name(metadata["Name"])] = metadata
    return told


def needed(asked, wheels):
    """Names of all that the requirements lead to, on the Python of the image."""
    there = default_environment() | {"python_version": "3.11", "python_full_version": container.PYTHON}
    names, queue = set(), [(Requirement(line), "") for line in asked]
    while queue:
        one, extra = queue.pop()
        if one.marker and not one.marker.evaluate(there | {"extra": extra}):
            continue
        name = canonicalize_name(one.name)
        for wanted in {"", *one.extras} if name not in names else one.extras:
            names.add(name)
            queue += [(Requirement(line), wanted) for line in wheels[name].get_all("Requires-Dist", [])]
    return names


@pytest.mark.real
def test_the_lock_file_holds_what_is_needed_and_nothing_else(wheels):
    extras = PROJECT["optional-dependencies"]
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    asked = [*PROJECT["dependencies"], *extras["flower"], *extras["webhook"], *build]
    assert needed(asked, wheels) == set(wheels)


@pytest.mark.real
def test_every_dependency_may_be_handed_on_with_the_project(wheels):
    def may(metadata):
        stated = metadata["License-Expression"]
        if stated:
            return all(
                any(PERMISSIVE.match(one.strip("() ")) for one in part.split(" OR "))
                for part in stated.split(" AND ")
            )
        classifiers = [one.removeprefix("License :: ") for one in metadata.get_all("Classifier", [])]
        return any(PERMISSIVE.match(one) for one in (metadata["License"] or "", *classifiers))

    assert {name: metadata["License"] for name, metadata in wheels.items() if not may(metadata)} == {}
