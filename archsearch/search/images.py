"""What a search trains on, as the coordinator knows it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SearchImages:
    """The training images of a study.

    Attributes:
        path: Their folder.
        count: How many they are.
        folds: For each fold the indices of its validation images, (n,) int32.
        test: How many test images there are; nothing more is known of them here.
    """

    path: Path
    count: int
    folds: tuple[NDArray[np.int32], ...]
    test: int

    @property
    def in_a_fold(self) -> int:
        """Images that one fold trains on."""
        return self.count - self.held_out

    @property
    def held_out(self) -> int:
        """Images that the smallest fold holds out."""
        return min(map(len, self.folds))
