"""Docker contexts, as the `docker` command honours them (F12)."""

import hashlib
import json
import os

import pytest

from deployer.cli.context import honour_context
from deployer.errors import SettingsError


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A configuration with the context `prod`, chosen by DOCKER_CONTEXT or currentContext."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    key = hashlib.sha256(b"prod").hexdigest()
    meta = tmp_path / "contexts" / "meta" / key
    meta.mkdir(parents=True)
    told = {"Name": "prod", "Endpoints": {"docker": {"Host": "tcp://manager:2376", "SkipTLSVerify": False}}}
    (meta / "meta.json").write_text(json.dumps(told))
    (tmp_path / "contexts" / "tls" / key / "docker").mkdir(parents=True)
    return tmp_path


def test_the_chosen_context_names_the_engine(config, monkeypatch):
    (config / "config.json").write_text('{"currentContext": "prod"}')
    honour_context()
    assert os.environ["DOCKER_HOST"] == "tcp://manager:2376"
    assert os.environ["DOCKER_TLS_VERIFY"] == "1"
    assert os.environ["DOCKER_CERT_PATH"].endswith("/docker")


def test_a_host_that_is_set_comes_first(config, monkeypatch):
    monkeypatch.setenv("DOCKER_CONTEXT", "prod")
    monkeypatch.setenv("DOCKER_HOST", "unix:///x.sock")
    honour_context()
    assert os.environ["DOCKER_HOST"] == "unix:///x.sock"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"currentContext": "default"}', '{"currentContext": 5}'])
def test_without_a_context_nothing_changes(config, text):
    (config / "config.json").write_text(text)
    honour_context()
    assert os.environ["DOCKER_HOST"] == ""


def test_a_context_that_does_not_exist_is_said(config, monkeypatch):
    monkeypatch.setenv("DOCKER_CONTEXT", "prdo")
    with pytest.raises(SettingsError, match="'prdo' does not exist"):
        honour_context()


def test_a_user_without_a_home_has_no_context(monkeypatch):
    """As in a container that runs under a number: `deployer health` must not fail there."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("HOME", raising=False)

    def nobody(number):
        raise KeyError(number)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    honour_context()
    assert "DOCKER_HOST" not in os.environ
