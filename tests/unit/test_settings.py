"""Settings: what is read, and what a wrong one says."""

import pytest

from deployer.errors import SettingsError


def test_everything_has_a_default(load):
    read = load()
    assert (read.rollback, read.rollout_timeout, read.max_rollouts, read.log_level) == (True, 900, 0, "INFO")


def test_lists_are_separated_by_commas(load):
    read = load(TASK_QUEUE="one, two", ACCEPT_EVENTS="replication,pull-through-cache")
    assert read.task_queue == ("one", "two")
    assert read.accept_events == ("replication", "pull-through-cache")


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("redis://redis", "redis://redis"),
        ("redis://:p%40ss@redis:6379/1", "redis://:p%40ss@redis:6379/1"),
        ("rediss://:p@redis", "rediss://:p@redis?ssl_cert_reqs=required"),
        ("rediss://redis/0?ssl_cert_reqs=CERT_NONE", "rediss://redis/0?ssl_cert_reqs=none"),
        ("rediss://[::1]:6380/0?ssl_cert_reqs=optional", "rediss://[::1]:6380/0?ssl_cert_reqs=optional"),
    ],
)
def test_a_redis_url_is_one_that_all_its_readers_understand(load, url, read):
    assert load(REDIS_URL=url).redis == read


@pytest.mark.parametrize(
    "url",
    [
        "hidden",
        "redis:6379",
        "amqp://:hidden@redis",
        "redis://:hidden@",
        "redis://:hidden@redis:x",
        "redis://:hid/den@redis/0",
        "redis://redis/hidden",
        "rediss://:hidden@redis?ssl_cert_reqs=maybe",
        "rediss://:hidden@redis?ssl_cert_reqs",
    ],
)
def test_a_wrong_redis_url_is_named_without_what_it_says(load, url):
    with pytest.raises(SettingsError, match="DEPLOYER_REDIS_URL: ") as fault:
        load(REDIS_URL=url)
    assert "hid" not in str(fault.value)


def test_repositories_are_globs(load):
    assert load(ALLOW_REPOSITORIES="ghcr.io/team/*, docker.io/library/redis").allow_repositories == (
        "ghcr.io/team/*",
        "docker.io/library/redis",
    )
    with pytest.raises(SettingsError, match="DEPLOYER_ALLOW_REPOSITORIES"):
        load(ALLOW_REPOSITORIES="x" * 300)


def test_roles_and_logins(load):
    arn = "arn:aws:iam::210987654321:role/pull"
    read = load(
        ASSUME_ROLES=f"210987654321={arn}?external-id=xy",
        LOGINS="a@ghcr.io=robot:pass=wo:rd\n b.c@r.example:5000=x:y",
    )
    assert [(role.account, role.arn, role.external_id) for role in read.assume_roles] == [
        ("210987654321", arn, "xy")
    ]
    assert read.named_logins == {"a": ("ghcr.io", "robot", "pass=wo:rd"), "b.c": ("r.example:5000", "x", "y")}
    assert "wo:rd" not in repr(read)


@pytest.mark.parametrize(
    "logins",
    [
        "hidden",
        "a=hidden",
        "=user:hidden",
        "a=:hidden",
        "a=u:hidden",
        "a@h=u:x a@h=u:hidden",
        "a@h=u:hidden b c",
    ],
)
def test_a_wrong_login_is_not_quoted(load, logins):
    with pytest.raises(SettingsError, match="DEPLOYER_LOGINS: .*login [12] ") as caught:
        load(LOGINS=logins)
    assert "hidden" not in str(caught.value)


def test_a_secret_file_sets_what_the_environment_does_not(load):
    read = load(
        files={"deployer_redis_url": "redis://:hidden@redis\n", "deployer_queue": "q"}, QUEUE="stronger"
    )
    assert read.redis == "redis://:hidden@redis"
    assert read.queue == "stronger"


def test_a_secret_is_not_printed(load):
    assert "hidden" not in repr(load(REDIS_URL="redis://:hidden@redis"))


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("QEUE", "q", "did you mean DEPLOYER_QUEUE?"),
        ("TASKQUEUE", "q", "did you mean DEPLOYER_TASK_QUEUE?"),
        ("XYZZY", "q", "is no setting"),
        ("LOG_LEVEL", "loud", "DEPLOYER_LOG_LEVEL"),
        ("RATE_LIMIT", "fast", "DEPLOYER_RATE_LIMIT"),
        ("MAX_ROLLOUTS", "-1", "DEPLOYER_MAX_ROLLOUTS"),
        ("FILTER_LABEL", "=x", "DEPLOYER_FILTER_LABEL"),
        ("ACCEPT_EVENTS", "everything", "DEPLOYER_ACCEPT_EVENTS"),
        ("ASSUME_ROLES", "210987654321=admin", "DEPLOYER_ASSUME_ROLES: Value error, role 1"),
    ],
)
def test_a_wrong_setting_is_named(load, variable, value, said):
    with pytest.raises(SettingsError, match="DEPLOYER_") as caught:
        load(**{variable: value})
    assert said in str(caught.value)


def test_a_missing_setting_says_what_it_is_for(load):
    with pytest.raises(SettingsError, match="DEPLOYER_QUEUE is not set .events queue"):
        load().need("queue")
