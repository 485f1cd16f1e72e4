"""Measures why a winner won: trains what lies between it and the baseline, and whether its network can memorise."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from archsearch.data.splits import Splits
from archsearch.report.lines import candidate_line
from archsearch.report.story import Memory, Story, StoryStep
from archsearch.search.ablation import Step, steps
from archsearch.search.candidates import Candidates
from archsearch.search.executors.base import Executor
from archsearch.search.plan import Plan
from archsearch.search.record import TrialRecord
from archsearch.space.architecture import Augment, Candidate
from archsearch.space.code import trusted_folder
from archsearch.space.sample import Scalar
from archsearch.training.job import Outcome, Report, TrialJob

POLL_SECONDS = 0.25
MEMORY = -1
"""Number of the job that trains without regularisation; the others have that of their step."""
MEMORY_POINTS = (0.9, 1.0)
"""Its accuracy on the training images is that of the last tenth."""


@dataclass(frozen=True)
class Tried:
    """A trial of the study, and what was drawn for it."""

    record: TrialRecord
    point: Mapping[str, Scalar]


def outline_story(
    candidates: Candidates, baseline: Tried, winner: Tried, plan: Plan, known: Story | None
) -> tuple[Story, Sequence[Step]]:
    """The story as far as it is known: both ends from the search, and what has been run before.

    Args:
        candidates: Where both were drawn from.
        baseline, winner: Complete trials.
        plan: Of the search.
        known: What has been measured before; of another winner nothing of it counts.

    Returns:
        The story, and how to get to each of its steps but the first.
    """
    same = baseline.record.number == winner.record.number
    path = [] if same else steps(candidates, baseline.point, winner.point, plan.epochs)
    measured = {step.digest: step.fold_scores for step in known.steps} if known else {}
    ends = (baseline.record, winner.record)
    measured |= {record.digest: record.fold_scores for record in ends}
    told = [
        StoryStep(
            names=(),
            digest=baseline.record.digest,
            architecture=candidate_line(baseline.record.candidate),
            parameters=baseline.record.parameters,
            fold_scores=baseline.record.fold_scores,
        )
    ]
    for step in path:
        told.append(
            StoryStep(
                names=step.change.names,
                changes=tuple(
                    (name, _word(baseline.point.get(name)), _word(winner.point[name]))
                    for name in step.change.parameters
                ),
                digest=step.drawn.digest,
                architecture=candidate_line(step.drawn.candidate),
                parameters=step.drawn.size.parameters,
                fold_scores=measured.get(step.drawn.digest, ()),
            )
        )
    memory = known.memory if known and known.winner == winner.record.number else None
    story = Story(
        winner=winner.record.number,
        epochs=plan.epochs,
        has_memory=isinstance(winner.record.candidate, Candidate),
        memory=memory,
        steps=tuple(told),
    )
    return story, path


def explain(
    story: Story,
    path: Sequence[Step],
    winner: TrialRecord,
    plan: Plan,
    splits: Splits,
    executor: Executor,
    seconds: float | None,
    keep: Callable[[Story], None],
    interrupted: Callable[[], bool],
) -> Story:
    """Runs what is missing in `story`, as candidates were trained in the search.

    Args:
        story: What is known (`outline_story`).
        path: How to get to each of its steps.
        winner: Its last step.
        plan: Of the search.
        splits: The study's data.
        executor: Where trainings run; it is closed at the end.
        seconds: How long it may take; what has not ended by then counts as not run.
        keep: Told the story whenever it has grown.
        interrupted: Asked a few times a second; True ends it.

    Returns:
        The story as it is in the end.
    """
    began = time.monotonic()
    waiting = _jobs(story, path, winner, plan, splits)
    running: set[int] = set()
    reports: dict[int, list[Report]] = {}
    try:
        while waiting or running:
            if interrupted() or (seconds is not None and time.monotonic() - began > seconds):
                return story
            while waiting and len(running) < executor.workers:
                job = waiting.pop(0)
                running.add(job.trial)
                executor.submit(job)
            for event in executor.events(POLL_SECONDS):
                if isinstance(event, Report):
                    reports.setdefault(event.trial, []).append(event)
                    continue
                running.discard(event.trial)
                if event.state == "finished":
                    story = _grown(story, event, reports[event.trial])
                    keep(story)
    finally:
        executor.close()
    return story


def unregularised(candidate: Candidate, epochs: float | None) -> Candidate:
    """The same network without dropout, augmentation and whatever else keeps it from learning images by heart."""
    network = candidate.architecture
    stages = [
        stage.model_copy(
            update={
                "blocks": tuple(
                    block.model_copy(update={name: 0.0 for name in ("dropout", "drop_path") if hasattr(block, name)})
                    for block in stage.blocks
                )
            }
        )
        for stage in network.stages
    ]
    head = network.head.model_copy(update={"dropout": 0.0})
    optimizer = candidate.recipe.optimizer.model_copy(update={"weight_decay": 0.0})
    recipe = candidate.recipe.model_copy(update={"augment": Augment(), "label_smoothing": 0.0, "optimizer": optimizer})
    bare = candidate.model_copy(
        update={
            "architecture": network.model_copy(update={"stages": tuple(stages), "head": head}),
            "recipe": recipe,
        }
    )
    return bare.trained_for(epochs) if epochs is not None else bare


def _jobs(story: Story, path: Sequence[Step], winner: TrialRecord, plan: Plan, splits: Splits) -> list[TrialJob]:
    folds = splits.folds[: plan.folds]
    images, code = splits.train.path, trusted_folder()
    jobs = []
    if story.memory is None and isinstance(winner.candidate, Candidate):
        bare = unregularised(winner.candidate, plan.winner_epochs)
        jobs.append(TrialJob(MEMORY, bare, images, folds[:1], MEMORY_POINTS, winner.seed, code=code))
    for number, (step, told) in enumerate(zip(path, story.steps[1:], strict=True), start=1):
        if not told.fold_scores:
            jobs.append(TrialJob(number, step.drawn.candidate, images, folds, (1.0,), winner.seed, code=code))
    return jobs


def _grown(story: Story, outcome: Outcome, reports: Sequence[Report]) -> Story:
    if outcome.trial == MEMORY:
        last = reports[-1]
        memory = Memory(
            epochs=last.epochs, accuracy=last.accuracy, val_accuracy=last.val_accuracy, seconds=outcome.seconds
        )
        return story.model_copy(update={"memory": memory})
    scores = tuple(report.val_accuracy for report in reports if report.is_last)
    told = list(story.steps)
    told[outcome.trial] = told[outcome.trial].model_copy(update={"fold_scores": scores})
    return story.model_copy(update={"steps": tuple(told)})


def _word(value: Scalar | None) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
