"""Metrics: what a real worker and bridge tell Prometheus, and that dashboard and alerts ask for what exists."""

import json
import re
import urllib.request

import promql_parser
import pytest
import yaml
from paths import ROOT
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from deployer.observability import metrics
from lab import wait_until
from lab.processes import free_port

RULES = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
PANELS = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())["panels"]
QUERIES = [rule["expr"] for rule in RULES] + [t["expr"] for panel in PANELS for t in panel["targets"]]


def scrape(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[(sample.name, *sorted(sample.labels.items()))] = sample.value
    return found


@pytest.mark.real
def test_a_push_is_counted_from_the_event_to_the_end(lab, queues):
    bridge_port, worker_port = free_port(), free_port()
    lab.bridge(queues, METRICS_ADDRESS=f"127.0.0.1:{bridge_port}")
    worker = lab.worker(queues, METRICS_ADDRESS=f"127.0.0.1:{worker_port}")
    before = scrape(worker_port)
    assert before[("deployer_deployments_total", ("by", "event"), ("outcome", "updated"))] == 0
    lab.push("team/web:latest", "v1")
    lab.create("web", "team/web:latest")
    digest = lab.push("team/web:latest", "v2")
    lab.aws.send(queues.events, json.dumps(lab.event("team/web:latest", digest)))
    lab.aws.send(queues.events, "rubbish")
    wait_until(lambda: "ended: updated" in worker.text, 40, "the deployment")
    told = scrape(worker_port)
    assert told[("deployer_deployments_total", ("by", "event"), ("outcome", "updated"))] == 1
    assert told[("deployer_updates_total",)] == 1
    assert told[("deployer_push_to_update_seconds_count",)] == 1
    assert told[("deployer_push_to_update_seconds_sum",)] < 30
    assert told[("deployer_lead_time_seconds_count",)] == 1
    assert told[("deployer_update_to_end_seconds_count", ("outcome", "updated"))] == 1
    assert 0 <= told[("deployer_registry_token_age_seconds", ("registry", "123456789012.eu-central-1"))] < 120
    assert told[("deployer_last_successful_poll_timestamp_seconds",)] > 1_700_000_000
    in_flight = ("deployer_messages_in_flight",)
    wait_until(lambda: scrape(worker_port)[in_flight] == 0, 10, "the end of the task that has told its end")
    bridge = scrape(bridge_port)
    assert bridge[("deployer_events_total", ("kind", "push"))] == 1
    wait_until(
        lambda: scrape(bridge_port)[("deployer_events_total", ("kind", "rejected"))] >= 1, 20, "the rubbish"
    )


@pytest.mark.real
def test_an_address_that_is_taken_is_said_in_a_line(lab, queues):
    port = free_port()
    lab.bridge(queues, METRICS_ADDRESS=f"127.0.0.1:{port}")
    for start in (lab.bridge, lab.worker):
        with pytest.raises(RuntimeError, match="DEPLOYER_METRICS_ADDRESS") as told:
            start(queues, METRICS_ADDRESS=f"127.0.0.1:{port}")
        assert "Traceback" not in str(told.value)


@pytest.mark.real
def test_a_push_can_be_followed_by_its_events_id(lab, queues):
    lab.push("team/web:latest", "v1")
    lab.create("web", "team/web:latest")
    bridge, worker = (
        lab.bridge(queues, LOG_LEVEL="INFO"),
        lab.worker(queues, LOG_LEVEL="INFO", LOG_FORMAT="json"),
    )
    event = lab.event("team/web:latest", lab.push("team/web:latest", "v2"))
    lab.aws.send(queues.events, json.dumps(event))
    wait_until(lambda: "ended: updated" in worker.text, 40, "the deployment")
    lines = [line for line in bridge.text.splitlines() + worker.text.splitlines() if event["id"] in line]
    assert len(lines) == len(set(lines)) == 4  # taken, fanned out, updated, ended
    told = [json.loads(line) for line in lines[1:]]
    assert [one["event"] for one in told] == [event["id"]] * 3
    assert [one.get("service") for one in told] == [None, "web", "web"]
    assert told[-1]["outcome"] == "updated"
    assert told[-1]["task"] == told[-2]["task"]


def series():
    """The names of all series that we make, with those that come with prometheus-client."""
    metrics.watch(lambda: None, lambda: 0)
    names = {"deployer_registry_token_age_seconds", "process_resident_memory_bytes"}
    for family in REGISTRY.collect():
        names |= {sample.name for sample in family.samples}
        names |= {f"{family.name}{end}" for end in ("_bucket", "_count", "_sum", "_total")}
    return names


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_is_promql_and_asks_for_series_that_exist(query):
    query = query.replace("$__rate_interval", "5m")
    promql_parser.parse(query)
    asked = set(re.findall(r"\b(?:deployer|process)_[a-z_]+", query))
    assert asked
    assert asked <= series()


def test_every_alert_says_what_to_do():
    for rule in [one for one in RULES if "alert" in one]:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
