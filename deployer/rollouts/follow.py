"""Judges an update that was written: followed to its true end, and turned back if it fails.

`follow` returns a decision and writes nothing. It ends or turns back only what the deployer wrote last:
whatever somebody else wrote meanwhile is theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from deployer.model import label_names as names
from deployer.model.deployment import Outcome, Request, RolloutMemory
from deployer.model.image import Image
from deployer.model.snapshot import Phase, Snapshot
from deployer.rollouts.decision import Case
from deployer.rollouts.rollback import way_back

FIRST_LOOK, LAST_LOOK = 1.0, 15.0  # seconds between two looks, at first and at last
PAUSE_LOOK = 60.0  # seconds between two looks at a roll-out that waits for a person
UNSEEN = 600.0  # seconds of a task's life that the looks of its own deployment cannot have missed


@dataclass(frozen=True)
class Ended:
    """The deployment has ended."""

    outcome: Outcome
    reason: str
    failed: str | None = None  # a digest that must not be tried again by itself


@dataclass(frozen=True)
class LookAgain:
    """It has not ended yet."""

    seconds: float
    reason: str
    patient: bool = False  # the wait takes nothing from the time that the roll-out may take
    bakes: bool = False  # it has converged, and its tasks have to stay up


@dataclass(frozen=True)
class GoBack:
    """It has failed: `failed` has to be remembered, and the service goes back to another image."""

    to: Image
    failed: str | None
    reason: str


@dataclass(frozen=True)
class TakeOver:
    """The target went back by itself: the same image is written once more.

    So the failure, which was lost with the labels, is remembered, and fresh credentials start what the
    stored ones could not pull.
    """

    image: str
    failed: str | None
    reason: str


Decision = Ended | LookAgain | GoBack | TakeOver


def looked(watch: RolloutMemory | None, snapshot: Snapshot) -> RolloutMemory:
    """Return what a deployment remembers after this look; without a memory, what the service's labels tell.

    Only the time that was asked for counts: nobody's clock, and no time in which nobody looked.
    """
    now = snapshot.now.isoformat()
    if watch is None:
        state = snapshot.service.state
        return RolloutMemory(state.task or "", state.image or "", state.previous, state.at or now, now)
    return replace(watch, looked_at=now, watched=watch.watched + watch.asked)


def follow(case: Case, watch: RolloutMemory) -> Decision:
    """Judge an update that was written.

    Args:
        case: the service as it is now, and what is known of it.
        watch: what the deployment remembers, after this look.
    """
    snapshot, request, timeout = case.snapshot, case.request, case.timeout
    progress, state = snapshot.progress, snapshot.service.state
    goes_back = state.by == "rollback"
    if _unseen(snapshot, watch):
        return LookAgain(_next_look(watch), "the target does not show the write yet")
    if state.task != watch.task or not snapshot.ours or (case.put_back and not watch.stuck):
        return _not_mine(case, watch)
    if (baking := _bake(case, watch)) is not None:
        return baking
    if progress.phase is Phase.CONVERGED or (progress.phase is Phase.REVERTED and progress.all_up):
        return _converged(snapshot, request, watch)
    if progress.engine_done and progress.longest_up > watch.watched + UNSEEN:
        return _converged(snapshot, request, watch)  # a message that comes late or twice: it ended long ago
    if progress.pause:
        return LookAgain(PAUSE_LOOK, f"{progress.pause}: {_count(snapshot)}", patient=True)
    failure, curable = _failure(snapshot, watch, timeout)
    if watch.going_back and not goes_back and (failure or not progress.engine_busy):
        # The target took back the way back, to the image that has failed: it would do so again and again.
        return _no_way(failure or progress.reason)
    if failure:
        return _fail(case, failure, curable=curable)
    return LookAgain(_next_look(watch), _count(snapshot, "gone back" if goes_back else "updated"))


def _bake(case: Case, watch: RolloutMemory) -> Decision | None:
    """Judge an update whose tasks have to stay up after it has converged (label `deployer.bake`).

    Returns:
        None where nothing bakes, or it has baked for long enough.
    """
    snapshot, progress, wanted = case.snapshot, case.snapshot.progress, case.labels.bake
    if not wanted and watch.baking_from is None:
        return None
    if snapshot.service.state.by == "rollback" or watch.going_back or snapshot.service.is_job:
        return None
    converged = progress.phase is Phase.CONVERGED
    if watch.baking_from is None:
        late = progress.longest_up > watch.watched + UNSEEN and progress.longest_up >= wanted
        if not converged or late:
            return None
        return LookAgain(min(wanted, _next_look(watch)), f"{_count(snapshot)}, bakes", bakes=True)
    if not converged or (progress.has_failed and not watch.was_flaky):
        why = progress.reason or f"{_count(snapshot)}"
        return _fail(case, f"while it baked: {why}", curable=True)
    left = wanted - (watch.watched - watch.baking_from)
    if left <= 0:
        return None
    return LookAgain(min(left, LAST_LOOK), f"{_count(snapshot)}, bakes for {left:.0f} s more", bakes=True)


def _unseen(snapshot: Snapshot, watch: RolloutMemory) -> bool:
    """Return whether a reading may be older than the last write of this deployment.

    What it shows then is what there was before. It tells neither that somebody else wrote, nor that the
    target went back.
    """
    service, state = snapshot.service, snapshot.service.state
    if watch.watched >= snapshot.lag:
        return False
    if state.task == watch.task:
        return watch.going_back is not None and state.by != "rollback"
    before, mine, current = Image.find(watch.previous), Image.find(watch.image), service.image
    if before is None or current is None or not current.same_repository(before):
        return False
    tells = snapshot.rolled_back and snapshot.left and mine and snapshot.left.digest == mine.digest
    return current.digest == before.digest and not tells


def _next_look(watch: RolloutMemory) -> float:
    return min(FIRST_LOOK + watch.watched / 10, LAST_LOOK)


def _count(snapshot: Snapshot, word: str = "") -> str:
    word = word or ("complete" if snapshot.service.is_job else "running")
    return f"{snapshot.progress.ready}/{snapshot.progress.desired} {word}"


def _converged(snapshot: Snapshot, request: Request, watch: RolloutMemory) -> Ended:
    if snapshot.service.state.by != "rollback":
        taken_back = "; a later change was rolled back" if snapshot.rolled_back else ""
        return Ended(Outcome.UPDATED, _count(snapshot) + taken_back)
    reason = watch.going_back or snapshot.service.state.reason or "rolled back"
    if request.rollback and watch.going_back:
        return Ended(Outcome.FAILED, f"the engine took the rollback back: {reason}")
    return Ended(Outcome.ROLLED_BACK, reason)


def _failure(snapshot: Snapshot, watch: RolloutMemory, timeout: float) -> tuple[str | None, bool]:
    """Return why a roll-out has failed, if it has, and whether the former image could do better."""
    progress = snapshot.progress
    if progress.phase is Phase.PAUSED:
        return progress.reason or "the engine paused the update", True
    if snapshot.job and progress.reason and not snapshot.job.alive:
        return progress.reason, True
    if watch.watched < timeout:
        return None, True
    text = f"not converged after {timeout:g} s ({progress.ready}/{progress.desired}): {progress.reason}"
    # A node that was lost after the target had replaced every task is nothing that the image has done.
    return text.rstrip(": "), progress.has_failed or not progress.engine_done


def failed(case: Case, reason: str) -> Decision:
    """Return what becomes of a roll-out that has converged and has failed all the same."""
    return _fail(case, reason, curable=True)


def _fail(case: Case, reason: str, *, curable: bool) -> Decision:
    service, state = case.snapshot.service, case.snapshot.service.state
    if state.by == "rollback":
        return _no_way(reason)
    if not curable:
        return Ended(Outcome.FAILED, f"{reason}; left as it is, none of its tasks has failed")
    if state.restart:
        return Ended(Outcome.FAILED, f"{reason}; left as it is, it was a restart of the same image")
    failed = service.image.digest if service.image else None
    if held := case.hold or case.labels.hold:
        return Ended(Outcome.FAILED, f"{reason}; left as it is, held: {held}", failed)
    problem = case.labels.problem
    if problem and (names.ROLLBACK in problem or names.ENABLE in problem):
        return Ended(Outcome.FAILED, f"{reason}; left as it is: {problem}", failed)
    back = _where_to_go_back(case)
    if back is None:
        return Ended(Outcome.FAILED, f"{reason}; left as it is", failed)
    return GoBack(back, failed, reason)


def _no_way(reason: str) -> Ended:
    return Ended(Outcome.FAILED, f"the rollback failed as well: {reason}")


def _where_to_go_back(case: Case) -> Image | None:
    """Return where a failed roll-out goes back to, or None where it may not or cannot."""
    service, labels = case.snapshot.service, case.labels
    # Turned off since the roll-out began, it is left alone.
    ours = labels.enabled and service.carries(case.rules.filter_label)
    # A job that went back would run the old image again: what it has done is done.
    may = case.rules.rollback if labels.rollback is None else labels.rollback
    if not ours or service.is_job or not may:
        return None
    return way_back(case.snapshot, case.failures)


# -- when the service has left what this deployment wrote ---------------------------------------------


def _not_mine(case: Case, watch: RolloutMemory) -> Decision:
    snapshot, progress = case.snapshot, case.snapshot.progress
    current, mine = snapshot.service.image, Image.find(watch.image)
    if current is None:
        return Ended(Outcome.SUPERSEDED, "the service runs no image any more")
    failed = mine.digest if mine else None
    same = mine is not None and current.digest == mine.digest and current.same_repository(mine)
    if snapshot.rolled_back and not same:
        return _rolled_back(case, watch)
    if not same:
        left = failed if _went_back(snapshot, current, watch) else None
        return Ended(Outcome.SUPERSEDED, _who_came(snapshot), left)
    who = "somebody else wrote to the service during the roll-out"
    if progress.phase is Phase.CONVERGED or (progress.phase is Phase.REVERTED and progress.all_up):
        return Ended(Outcome.SUPERSEDED, f"{who}; it still wants this image: {_count(snapshot)}")
    if progress.phase is Phase.PAUSED or watch.watched >= case.timeout:
        why = progress.reason or "not converged"
        return Ended(Outcome.SUPERSEDED, f"{who}, and is left to them: {_count(snapshot)}, {why}")
    return LookAgain(_next_look(watch), f"{who}: {_count(snapshot)}")


def _went_back(snapshot: Snapshot, current: Image, watch: RolloutMemory) -> bool:
    """Return whether the service is back at what it had before, by an act of which nothing else tells.

    The engine's rollback, or a person's, is forgotten by the engine when somebody writes again: a scaling,
    say, a second later. A newer deployment of ours that brought the image back has ours among its former.
    """
    before = Image.find(watch.previous)
    back = before is not None and current.digest == before.digest
    return back and watch.task not in snapshot.service.state.former_tasks


def _who_came(snapshot: Snapshot) -> str:
    state, image = snapshot.service.state, snapshot.service.image_text
    if not snapshot.ours:
        return f"somebody else updated the service, to {image}"
    if state.by == "rollback":
        return f"the service was rolled back to {image}: {state.reason or 'by hand'}"
    origin = f"event {state.event}" if state.event else f"a deployment ({state.by})"
    return f"{origin} updated the service, to {image}"


def _rolled_back(case: Case, watch: RolloutMemory) -> Decision:
    """Judge a rollback that the target made, or a person with the target's own command."""
    snapshot, progress = case.snapshot, case.snapshot.progress
    back, mine = snapshot.service.image_text or "", Image.find(watch.image)
    failed = mine.digest if mine else None
    if snapshot.left and snapshot.left.by_operator:
        return Ended(Outcome.SUPERSEDED, f"somebody rolled the service back, to {back}")
    if progress.engine_busy:
        if watch.watched >= case.timeout:
            text = f"the engine's rollback has not ended after {case.timeout:g} s: {progress.reason}"
            return Ended(Outcome.FAILED, text.rstrip(": "), failed)
        return LookAgain(_next_look(watch), f"the engine rolls back: {progress.reason}")
    reason = progress.reason or "the engine rolled back"
    if watch.going_back:
        return _no_way(reason)
    if case.hold or case.labels.hold:
        outcome = Outcome.ROLLED_BACK if progress.all_up else Outcome.FAILED
        return Ended(outcome, f"the engine rolled back: {reason}", failed)
    return TakeOver(back, failed, reason)
