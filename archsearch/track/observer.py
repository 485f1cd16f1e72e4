"""Tells trackers what happens in a search, from a thread of its own: a slow or broken one costs the search nothing."""

import logging
import queue
from collections.abc import Callable, Mapping
from functools import partial
from threading import Thread
from typing import Self

from archsearch.report.lines import command_line
from archsearch.search.coordinator import Progress
from archsearch.search.folder import StudyFolder
from archsearch.track.base import About, Tracker

logger = logging.getLogger(__name__)

MOST_WAITING = 10_000
"""Events that wait for a slow tracker; later ones are lost to it."""
LAST_WORDS = 30.0
"""Seconds that a tracker has at the end to catch up."""

Event = Callable[[], None]


class Tracking:
    """Trackers of one search, from its first sign of life to the end of the block.

    Args:
        trackers: By name.
        folder: Of the study, which need not be there yet.
    """

    def __init__(self, trackers: Mapping[str, Tracker], folder: StudyFolder) -> None:
        self._trackers, self._folder = trackers, folder
        self._observers: list[Observer] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for observer in self._observers:
            observer.close()

    def __call__(self, progress: Progress) -> None:
        """Passes on what is new in `progress`."""
        if self._trackers and not self._observers:
            about = _about(self._folder)
            self._observers = [Observer(name, tracker, about) for name, tracker in self._trackers.items()]
        for observer in self._observers:
            observer(progress)


def _about(folder: StudyFolder) -> About:
    info = folder.read_info()
    space = folder.space.read_text() if folder.space.is_file() else ""
    return About(folder.path.resolve().name, folder.path, info, command_line(info), space)


class Observer:
    """Watches one search for one tracker.

    Args:
        name: Of the tracker, for warnings.
        tracker: It is closed by `close`.
        about: The study.
    """

    def __init__(self, name: str, tracker: Tracker, about: About) -> None:
        self._name, self._tracker, self._about = name, tracker, about
        self._waiting: queue.Queue[Event | None] = queue.Queue(MOST_WAITING)
        self._told: dict[int, int] = {}
        self._ended: set[int] = set()
        self._first = True
        self._broken = False
        self._thread = Thread(target=self._work, name=f"archsearch-{name}", daemon=True)
        self._thread.start()
        self._put(partial(tracker.begin, about))

    def __call__(self, progress: Progress) -> None:
        """Passes on what is new in `progress`."""
        if self._broken:
            return
        if self._first:
            # What earlier sessions did has been told by them.
            self._first = False
            self._ended = {r.number for r in progress.records if r.state != "running"}
        for record in progress.records:
            if record.number in self._ended:
                continue
            for report in record.reports[self._told.get(record.number, 0) :]:
                self._put(partial(self._tracker.report, record, report))
            self._told[record.number] = len(record.reports)
            if record.state != "running":
                self._ended.add(record.number)
                self._put(partial(self._tracker.end_trial, record))

    def close(self) -> None:
        """Lets the tracker catch up, for a while, and tells it that the search is over."""
        self._put(partial(self._tracker.finish, self._about))
        self._put(None)
        self._thread.join(LAST_WORDS)
        if self._thread.is_alive():
            self._warn("is still busy and is left behind; the search is not affected")

    def _put(self, event: Event | None) -> None:
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            self._warn("is too slow; what does not fit is lost to it, and the search is not affected")

    def _work(self) -> None:
        while (event := self._waiting.get()) is not None:
            if self._broken:
                continue
            try:
                event()
            except Exception as error:
                self._warn(f"failed and is told no more ({type(error).__name__}: {error}); the search is not affected")

    def _warn(self, what: str) -> None:
        if not self._broken:
            logger.warning("--track %s: %s", self._name, what)
        self._broken = True
