"""Celery's own configuration, in Celery's own words (Celery's user guide, "Configuration and defaults").

Replace it: a `celeryconfig.py` in the working directory comes first on the Python path. Everything that an
operator usually sets is a `DEPLOYER_*` variable instead; each line below that looks odd says why.
"""

from deployer.app import task_queues as _task_queues
from deployer.broker import channel as _channel
from deployer.settings import load as _load

_settings = _load()

# -- broker: SQS, the queues exist already and nobody needs ListQueues or CreateQueue ----------------
_channel.register()
broker_url = _channel.BROKER_URL
broker_transport_options = {
    "predefined_queues": {name: {"url": url} for name, url in _task_queues().items()},
    "wait_time_seconds": _settings.poll_wait,  # 20: long polls, 180 requests an hour
}
broker_connection_retry_on_startup = True
task_create_missing_queues = False
task_default_queue = next(iter(_task_queues()))

# -- nothing is lost: a message is deleted when its task has ended, not when it begins ----------------
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1

# -- nobody gets in -----------------------------------------------------------------------------------
task_serializer = result_serializer = "json"
accept_content = result_accept_content = ["json"]

# -- results: Redis if there is one; deployments do not depend on it ----------------------------------
result_backend = (
    f"deployer.broker.results:OptionalRedisBackend+{_settings.redis}" if _settings.redis else None
)
result_extended = True
result_expires = 30 * 24 * 3600
task_ignore_result = _settings.redis is None
task_track_started = True
redis_socket_connect_timeout = redis_socket_timeout = 1.0

# -- the worker waits on sockets, so threads serve it better than processes ---------------------------
worker_pool = "threads"
worker_concurrency = 4
enable_utc = True

# -- events and remote control: over Redis, because SQS has no exchange between processes -------------
monitoring_secret_url = _settings.redis  # `celery inspect conf` hides what is called secret
worker_send_task_events = worker_enable_remote_control = _settings.redis is not None
# A deployment is sent again for each look; only what workers do with it is worth an event.
task_send_sent_event = False

# -- schedule: `celery -A deployer beat`, one for the whole Swarm --------------------------------------
beat_scheduler = "celery.beat:Scheduler"  # keeps nothing on disk: a look too many does no harm
beat_schedule = {
    name: {"task": f"deployer.tasks.{name}", "schedule": seconds}
    for name, seconds in (
        ("reconcile", _settings.reconcile_interval),
        ("refresh_credentials", min(600.0, _settings.credentials_max_age / 4)),
    )
    if seconds
}
