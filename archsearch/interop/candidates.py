"""A KerasTuner `HyperModel` as something to draw candidates from, without loading TensorFlow here.

What `build(hp)` asks for is only known while it runs. So each draw is a process: it builds a model, asks over a pipe,
and is answered through the same `Chooser` as any space.
"""

import contextlib
import hashlib
import os
import signal
import time
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path

from archsearch.errors import InputError, TrialError, what_broke
from archsearch.search.candidates import Drawn
from archsearch.search.config import BATCH_SIZE, EPOCHS
from archsearch.search.executors.processes import EXIT_SECONDS, configure_tensorflow, end, how_ended, start
from archsearch.space.architecture import Task
from archsearch.space.code import trust
from archsearch.space.cost import Cost
from archsearch.space.hyper import Built, HyperCandidate, HyperRecipe, Question, Refused, locate
from archsearch.space.sample import Chooser, RecordingChooser, Scalar
from archsearch.training.environment import stderr_to

Answer = Callable[[Question], Scalar]

POLL_SECONDS = 0.25
BUILD_SECONDS = 300.0
"""A `build(hp)` that neither asks nor ends for so long hangs."""


class HyperCandidates:
    """The candidates of a HyperModel. Its hyperparameters' defaults are the baseline.

    Args:
        space: `folder/file.py:Name` or `package.module:Name`: a class, an instance, or a function `build(hp)`.
        task: Shape of the images and number of classes.
        recipe: How models are trained.

    Raises:
        InputError: KerasTuner is not installed, or the HyperModel cannot be loaded or build its defaults.
    """

    hyper = True

    def __init__(self, space: str | Path, task: Task, recipe: HyperRecipe) -> None:
        if find_spec("keras_tuner") is None:
            raise InputError(f"'{space}' needs KerasTuner; install it with: pip install 'archsearch[kerastuner]'")
        self._folder, self._reference = locate(space)
        trust(self._folder)
        self._task = task
        self._recipe = recipe
        self._known: dict[tuple[Scalar, ...], Question | Built | Refused] = {}  # what comes after these answers
        point: dict[str, Scalar] = {}

        def default(question: Question) -> Scalar:
            point[question.name] = question.default
            return question.default

        try:
            built = self._build(default)
        except TrialError as error:
            raise InputError(f"{space}: build(hp) with the defaults of its hyperparameters: {error}") from error
        self.name = self._reference.rpartition(":")[2]
        self.file = f"{self._folder / self._reference}" if ".py:" in self._reference else self._reference
        self.copies = {"space.py": built.source}
        meaning = f"{self._reference}\n{recipe.model_dump_json()}\n{built.source}"
        self.hash = hashlib.sha256(meaning.encode()).hexdigest()[:16]
        self.limits: dict[str, int] = {}
        self.most_epochs = float(recipe.epochs)
        self.baseline = point

    def draw(self, chooser: Chooser, epochs: float | None = None, ended: Callable[[], bool] = lambda: False) -> Drawn:
        """One candidate; built to learn what it asks for, unless the same answers have been given before.

        Raises:
            TrialError: `build` raised something, hangs, or was ended, or its model does not suit the task.
        """
        recording = RecordingChooser(chooser)
        return self._drawn(self._build(lambda question: _answered(question, recording), ended))

    def typical_work(self) -> float:
        """1.0: nothing is known of how long a user's models train."""
        return 1.0

    def _drawn(self, built: Built) -> Drawn:
        candidate = HyperCandidate(code=self._reference, task=self._task, values=built.values, recipe=self._recipe)
        return Drawn(candidate, candidate.digest, Cost(parameters=built.parameters, flops=0, activation_bytes=0))

    def _build(self, answer: Answer, ended: Callable[[], bool] = lambda: False) -> Built:
        said = self._foreseen(answer) or self._told(answer, ended)
        if isinstance(said, Refused):
            raise TrialError(said.reason) if said.usable else InputError(said.reason)
        return said

    def _foreseen(self, answer: Answer) -> Built | Refused | None:
        """What building will say, if every answer on the way has been given before."""
        answers: tuple[Scalar, ...] = ()
        while (known := self._known.get(answers)) is not None and not isinstance(known, Built | Refused):
            answers += (answer(known),)
        return known

    def _told(self, answer: Answer, ended: Callable[[], bool]) -> Built | Refused:
        """Has a process build, and answers it."""
        arguments = (self._folder, self._reference, self._task, self._recipe)
        process, ours = start(_build, arguments, "archsearch-draw")
        answers: tuple[Scalar, ...] = ()
        try:
            while _is_heard(ours, ended):
                said: Question | Built | Refused = ours.recv()
                self._known[answers] = said
                if isinstance(said, Built | Refused):
                    return said
                answers += (answer(said),)
                ours.send(answers[-1])
            if ended():
                raise TrialError("build(hp) had not ended when the search did")
            raise TrialError(f"build(hp) has not ended for {BUILD_SECONDS:.0f} seconds")
        except (EOFError, OSError) as error:
            end(process, EXIT_SECONDS)
            raise TrialError(f"the process that builds {how_ended(process)}") from error
        finally:
            end(process)
            ours.close()


def _is_heard(connection: Connection, ended: Callable[[], bool]) -> bool:
    """Waits until something is said; False if that takes too long, or the search has ended."""
    until = time.monotonic() + BUILD_SECONDS
    while not (heard := connection.poll(POLL_SECONDS)) and time.monotonic() < until and not ended():
        pass
    return heard


def _answered(question: Question, chooser: Chooser) -> Scalar:
    try:
        return question.put(chooser)
    except ValueError as error:
        raise TrialError(
            f"{question.name}: asked for with other options than before; expected another name, or a "
            f"conditional_scope: {error}"
        ) from error


def _build(connection: Connection, folder: Path, reference: str, task: Task, recipe: HyperRecipe) -> None:
    """What the process does: build a model, ask, say what came of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def put(question: Question) -> Scalar:
        connection.send(question)
        answer: Scalar = connection.recv()
        return answer

    said: Built | Refused
    with stderr_to(os.devnull):
        os.dup2(2, 1)  # what a user's code prints is not for the terminal
        try:
            configure_tensorflow(1)
            trust(folder)
            from archsearch.training.hyper.drawing import draw

            said = draw(reference, task, recipe, put)
        except EOFError:
            return  # Nobody is there to answer any more.
        except InputError as error:
            said = Refused(str(error), usable=False)
        except TrialError as error:
            said = Refused(str(error), usable=True)
        except Exception as error:
            said = Refused(what_broke(error), usable=True)
    with contextlib.suppress(OSError):
        connection.send(said)


def hyper_recipe(batch_size: int | None, epochs: float | None) -> HyperRecipe:
    """How a HyperModel is trained; None is the default.

    Raises:
        InputError: The number of epochs is not whole.
    """
    passes = epochs or EPOCHS
    if passes != int(passes):
        raise InputError(f"--epochs: found {passes:g}, expected a whole number for a HyperModel")
    return HyperRecipe(batch_size=batch_size or BATCH_SIZE, epochs=int(passes))
