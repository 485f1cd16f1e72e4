"""When the test set of a study was opened: kept with its trials, wherever that was and whatever became of the model."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import optuna

from archsearch.search.folder import TestScore

PREFIX = "opening:"
"""Of study attributes: what follows tells openings apart, so that two at once do not overwrite each other."""


def keep_opening(study: optuna.Study, test: TestScore) -> None:
    """Keeps what the test set said of a model."""
    study.set_user_attr(f"{PREFIX}{uuid4().hex}", test.model_dump(mode="json"))


def openings_of(attributes: Mapping[str, Any]) -> list[TestScore]:
    """All openings, by a study's user attributes."""
    return [TestScore.model_validate(kept) for name, kept in attributes.items() if name.startswith(PREFIX)]
