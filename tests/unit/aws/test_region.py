"""D17: without a region the setting that is missing is named, not botocore's error."""

import pytest

from deployer.aws.sqs import queue_url
from deployer.errors import SettingsError


def test_a_queue_by_name_needs_a_region(monkeypatch, tmp_path):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="AWS_REGION=eu-central-1") as refused:
        queue_url("tasks")
    assert "'tasks'" in str(refused.value)
    assert "You must specify" not in str(refused.value)
