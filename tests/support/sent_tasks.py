"""Tasks that are noted rather than sent, for tests of the command line."""

from types import SimpleNamespace

TASK = "11111111-2222-4333-8444-555555555555"


class Result:
    """What Celery gives for a task that was sent: how it stands at each look, and its end."""

    id = TASK

    def __init__(self, end=None, looks=()):
        self.end, self.looks = end, [*looks]
        self.backend = SimpleNamespace(get_task_meta=self._meta, READY_STATES={"SUCCESS", "FAILURE"})

    def _meta(self, task, cache):
        step = self.looks.pop(0) if self.looks else "SUCCESS"
        if isinstance(step, BaseException):
            raise step
        status, said = step if isinstance(step, tuple) else (step, None)
        return {"status": status, "result": said}

    def get(self):
        if isinstance(self.end, BaseException):
            raise self.end
        return self.end


class Sent(list):
    """The tasks that were sent: (task, service, arguments)."""

    def __init__(self):
        super().__init__()
        self.result = Result()

    def task(self, name):
        def send(args=(), kwargs=None):
            self.append((name, *args, kwargs or {}))
            return self.result

        return SimpleNamespace(apply_async=send, delay=lambda *args: send(args))
