"""The last words of a task of ECS come from CloudWatch Logs, by the log configuration of its definition."""

from types import SimpleNamespace

from deployer.targets.ecs.last_words import last_words

OPTIONS = {"awslogs-group": "/ecs/web", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "app"}
ARN = "arn:aws:ecs:eu-north-1:123456789012:task/prod/0123abc"


def place(driver="awslogs", options=OPTIONS, tasks=None):
    definition = {
        "containerDefinitions": [
            {"name": "side"},
            {"name": "web", "logConfiguration": {"logDriver": driver, "options": options}},
        ]
    }
    stopped = [
        {"taskArn": f"{ARN}-old", "stoppedAt": 1, "containers": [{"name": "web", "exitCode": 1}]},
        {
            "taskArn": ARN,
            "stoppedAt": 2,
            "containers": [{"name": "side", "exitCode": 0}, {"name": "web", "exitCode": 7}],
        },
        {"taskArn": f"{ARN}-ok", "stoppedAt": 3, "containers": [{"name": "web", "exitCode": 0}]},
    ]
    return SimpleNamespace(
        api=SimpleNamespace(region="eu-north-1"),
        tasks=lambda service, status: stopped if tasks is None else tasks,
        revision=lambda arn, fresh: SimpleNamespace(raw=definition),
    )


def read(place):
    asked = []

    def reader(*args):
        asked.append(args)
        return ["KeyError"]

    return last_words(place, reader, "web", 5), asked


def test_the_newest_container_that_failed_is_read_from_its_stream():
    assert read(place()) == (["KeyError"], [("eu-west-1", "/ecs/web", "app/web/0123abc", 5)])


def test_where_the_log_goes_elsewhere_nobody_is_asked():
    assert read(place(driver="splunk")) == ([], [])
    assert read(place(options={})) == ([], [])
    assert read(place(tasks=[])) == ([], [])
