"""What an exported file says of itself: its classes, and the pixels that it takes. It travels inside the file."""

import json
import zipfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from archsearch.data.archives import require_no_bomb
from archsearch.printable import is_printable

ENTRY = "description.json"
"""Name of it in a `.keras` or `.tflite` file, both of which may be read as ZIP archives, and in a SavedModel."""
EXTRA = "assets.extra"
"""Folder of a SavedModel for what TensorFlow itself does not read."""


@dataclass(frozen=True)
class Description:
    """What one has to know to use a model.

    Attributes:
        classes: Name of each class, in the order of the model's outputs.
        height, width: Of the images, in pixels; None if any will do, and the model resizes them itself.
        channels: 1 for grey, 3 for RGB.
        size: Side that the model resizes images to, in pixels; None if it takes them as they are.
        study: Name of the study it comes from; empty if it comes from none.
        trial: Number of the trial; None likewise.
        version: Of archsearch.
    """

    classes: tuple[str, ...]
    height: int | None
    width: int | None
    channels: int
    size: int | None = None
    study: str = ""
    trial: int | None = None
    version: str = ""

    @property
    def sides(self) -> tuple[int | None, int | None]:
        """Height and width that the network itself sees, in pixels; None where any will do."""
        return self.size or self.height, self.size or self.width

    def shape(self, height: int = 32, width: int = 32) -> tuple[int, int, int]:
        """(H, W, C) of an image that it takes, with these sides where any will do."""
        own_height, own_width = self.sides
        return own_height or height, own_width or width, self.channels

    @property
    def fixed(self) -> "Description":
        """Of a file of the same model that resizes nothing."""
        height, width = self.sides
        return replace(self, height=height, width=width, size=None)

    @property
    def takes(self) -> str:
        """The pixels in words: `uint8 pixels (N, 28, 28, 1)`."""
        sides = ", ".join("any" if side is None else str(side) for side in (self.height, self.width))
        return f"uint8 pixels (N, {sides}, {self.channels})"

    def to_json(self) -> str:
        """As it stands in the files."""
        return json.dumps(asdict(self))


def from_json(text: str) -> Description:
    """The other way; raises ValueError or TypeError for what is no description, or has names that cannot be shown."""
    found = json.loads(text)
    described = Description(**(found | {"classes": tuple(found["classes"])}))
    for name in (*described.classes, described.study, described.version):
        if not isinstance(name, str) or not is_printable(name):
            raise ValueError(f"found {name!r} in its description, expected a name without control characters")
    for side in (described.height, described.width, described.channels, described.size):
        if not (side is None or (isinstance(side, int) and side > 0)):
            raise ValueError(f"found {side!r} in its description, expected a number of pixels or channels")
    return described


def pack(path: Path, description: Description) -> None:
    """Puts a description into a `.keras` or `.tflite` file, or a SavedModel's folder.

    A `.tflite` file gets a ZIP archive behind its end, as TensorFlow Lite's own associated files are kept
    (https://ai.google.dev/edge/litert/models/metadata): runtimes do not look there, and `unzip` does.
    """
    if path.is_dir():
        (path / EXTRA).mkdir(exist_ok=True)
        (path / EXTRA / ENTRY).write_text(description.to_json())
        return
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(ENTRY, description.to_json())


def unpack(path: Path) -> Description | None:
    """What `pack` put there; None if there is nothing."""
    if path.is_dir():
        file = path / EXTRA / ENTRY
        return from_json(file.read_text()) if file.is_file() else None
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        if ENTRY not in archive.namelist():
            return None
        require_no_bomb(path, archive.getinfo(ENTRY).file_size)
        return from_json(archive.read(ENTRY).decode())
