"""The recording rules for DORA's figures, evaluated by Prometheus's own tool."""

import json
import subprocess

import pytest
from paths import ROOT

pytestmark = pytest.mark.real
# A week: 14 updates, 1 that failed, 1 that went back; a rollback by hand is no failure. Lead times: half below 60 s.
SERIES = {
    'deployer_deployments_total{outcome="updated",by="event"}': "0+2x7",
    'deployer_deployments_total{outcome="failed",by="event"}': "0 0 0 1x4",
    'deployer_deployments_total{outcome="rolled-back",by="event"}': "0 0 1x5",
    'deployer_deployments_total{outcome="rolled-back",by="rollback"}': "0 0 3x5",
    'deployer_lead_time_seconds_bucket{le="30"}': "0+0x7",
    'deployer_lead_time_seconds_bucket{le="60"}': "0+1x7",
    'deployer_lead_time_seconds_bucket{le="+Inf"}': "0+2x7",
}
EXPECTED = {
    "deployer:deployments:per_day": 2,
    "deployer:lead_time_seconds:p50": 60,
    "deployer:change_failure:ratio": 0.125,
}


def test_the_figures_of_a_week(tmp_path):
    rules = tmp_path / "alerts.yml"
    rules.write_text(
        (ROOT / "deploy/prometheus/alerts.yml").read_text().replace("interval: 1m", "interval: 1d")
    )
    tests = {
        "rule_files": [str(rules)],
        "evaluation_interval": "1d",
        "tests": [
            {
                "interval": "1d",
                "input_series": [{"series": name, "values": values} for name, values in SERIES.items()],
                "promql_expr_test": [
                    {
                        "expr": name,
                        "eval_time": "7d",
                        "exp_samples": [{"labels": name, "value": value}],
                    }
                    for name, value in EXPECTED.items()
                ],
            }
        ],
    }
    file = tmp_path / "tests.yml"
    file.write_text(json.dumps(tests))  # YAML has JSON in it
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
