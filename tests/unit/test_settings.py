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


def test_clusters_of_ecs(load):
    read = load(ECS_CLUSTERS="prod eu-north-1/staging", ECS_LEDGER="deployer-ledger", POLICY="glob:*")
    assert [str(cluster) for cluster in read.ecs_clusters] == ["prod", "eu-north-1/staging"]
    assert (read.ecs_ledger, read.ecs_opt_in, read.policy) == ("deployer-ledger", True, "glob:*")


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
        ("QEUE", "q", "unknown setting DEPLOYER_QEUE; did you mean DEPLOYER_QUEUE?"),
        ("TASKQUEUE", "q", "unknown setting DEPLOYER_TASKQUEUE; did you mean DEPLOYER_TASK_QUEUE?"),
        ("FOO", "q", "unknown setting DEPLOYER_FOO"),
        ("LOG_LEVEL", "loud", "DEPLOYER_LOG_LEVEL='loud': it may be DEBUG, INFO, WARNING or ERROR"),
        ("LOG_LEVEL", "warn", ("DEPLOYER_LOG_LEVEL='warn': it may be DEBUG, INFO, WARNING or ERROR; "
         "did you mean WARNING?")),
        ("ROLLBACK", "maybe", "DEPLOYER_ROLLBACK='maybe': it may be true or false"),
        ("RATE_LIMIT", "fast", ("DEPLOYER_RATE_LIMIT='fast': it may be updates by second, minute or hour, "
         "such as 30/m; empty for no limit")),
        ("MAX_ROLLOUTS", "-1", "DEPLOYER_MAX_ROLLOUTS='-1': it may be a whole number from 0 to 10000"),
        ("METRICS_ADDRESS", "host", ("DEPLOYER_METRICS_ADDRESS='host': it may be a port, or host:port, such as "
         "9808 or 127.0.0.1:9808")),
        ("METRICS_ADDRESS", ":70000", ("DEPLOYER_METRICS_ADDRESS=':70000': it may be a port, or host:port, "
         "such as 9808 or 127.0.0.1:9808")),
        ("FILTER_LABEL", "=x", ("DEPLOYER_FILTER_LABEL='=x': it may be a label's name, or name=value, such as "
         "deployed-by=deployer")),
        ("ACCEPT_EVENTS", "everything", ("DEPLOYER_ACCEPT_EVENTS='everything': it may be replication, "
         "pull-through-cache or scan")),
        ("WEBHOOK_PROXIES", "x", ("DEPLOYER_WEBHOOK_PROXIES='x': it may be addresses and networks, such as "
         "10.0.0.0/8")),
        ("ROLLOUT_TIMEOUT", "soon", ("DEPLOYER_ROLLOUT_TIMEOUT='soon': it may be a number of seconds or a "
         "duration such as 900, 15m or 2h")),
        ("POLICY", "globs:*", ("DEPLOYER_POLICY='globs:*': it may be tag, patch, minor, major, all, none, "
         "semver:RANGE (semver:^1.2), glob:PATTERN (glob:main-*) or regexp:PATTERN (regexp:^main-)")),
        ("ECS_CLUSTERS", "prod a/b", ("DEPLOYER_ECS_CLUSTERS='prod a/b': 'a/b' is no cluster; write them like "
         "'prod eu-north-1/staging 123456789012/eu-west-1/prod'")),
        ("ECS_CLUSTERS", "prod prod", "DEPLOYER_ECS_CLUSTERS='prod prod': prod stands there twice"),
        ("ECS_LEDGER", "my table", ("DEPLOYER_ECS_LEDGER='my table': it may be the name or the ARN of a DynamoDB "
         "table, such as deployer-ledger")),
        ("ECS_OPT_IN", "some", "DEPLOYER_ECS_OPT_IN='some': it may be true or false"),
        ("ASSUME_ROLES", "210987654321=admin", ("DEPLOYER_ASSUME_ROLES: role 1: it is no <12 digits>=<ARN of an "
         "IAM role>")),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_said_with_its_value_and_the_fix(load, variable, value, said):
    with pytest.raises(SettingsError) as caught:
        load(**{variable: value})
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("variable", "value", "bounds"),
    [
        ("RECONCILE_INTERVAL", "0.01", "from 10s to 24h, or 0 for never"),
        ("CREDENTIALS_MAX_AGE", "1", "from 10m to 11h, or 0 for never"),
        ("ROLLOUT_TIMEOUT", "0.001", "from 5s to 24h"),
        ("ROLLOUT_TIMEOUT", "9" * 5000, "such as 900, 15m or 2h"),
        ("SETTLE", "25h", "from 0s to 24h"),
        ("RATE_LIMIT", "0/m", "such as 30/m"),
        ("WEBHOOK_RATE", "0", "from 1 to 1000000"),
    ],
)
def test_fault_35_a_setting_that_would_do_harm_is_refused(load, variable, value, bounds):
    with pytest.raises(SettingsError, match=f"DEPLOYER_{variable}=") as caught:
        load(**{variable: value})
    assert str(caught.value).endswith(bounds) or bounds in str(caught.value)
    assert len(str(caught.value)) < 300


def test_f10_durations_levels_and_addresses_are_taken_as_people_write_them(load):
    read = load(
        ROLLOUT_TIMEOUT="15m",
        SETTLE="90",
        RECONCILE_INTERVAL="0",
        CREDENTIALS_MAX_AGE="2h",
        LOG_LEVEL="info",
        LOG_FORMAT="JSON",
        METRICS_ADDRESS="9808",
        ROLLBACK="off",
    )
    assert (read.rollout_timeout, read.settle, read.reconcile_interval) == (900, 90, 0)
    assert (read.credentials_max_age, read.log_level, read.log_format) == (7200, "INFO", "json")
    assert (read.metrics_address, read.rollback) == (":9808", False)


def test_a_password_in_the_wrong_place_is_not_quoted(load):
    with pytest.raises(SettingsError, match="^DEPLOYER_METRICS_ADDRESS: ") as caught:
        load(METRICS_ADDRESS="redis://:hidden@redis")
    assert "hidden" not in str(caught.value)


def test_all_wrong_settings_are_said_at_once(load):
    with pytest.raises(SettingsError) as caught:
        load(LOG_LEVEL="loud", SETTLE="x", QEUE="q")
    assert [name in str(caught.value) for name in ("LOG_LEVEL", "SETTLE", "QEUE")] == [True] * 3


def test_a_missing_setting_says_what_it_is_for(load):
    with pytest.raises(SettingsError, match="DEPLOYER_QUEUE is not set: events queue"):
        load().need("queue")
