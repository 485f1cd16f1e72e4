"""ZIP archives from elsewhere, which `.npz` and `.keras` files are."""

from pathlib import Path

from archsearch.errors import InputError

MOST_EXPANSION = 200
"""Times as large as its file that an archive may be: images and weights shrink tenfold, bombs a thousandfold."""
HARMLESS = 2**30
"""Bytes that any archive may have when it is unpacked."""


def require_no_bomb(path: Path, unpacked: int) -> None:
    """Raises InputError if an archive is far too small for what it says it holds.

    Args:
        path: Of the archive.
        unpacked: Bytes that are going to be read from it. No more than its directory says can be.
    """
    packed = path.stat().st_size
    if unpacked > max(HARMLESS, MOST_EXPANSION * packed):
        raise InputError(
            f"{path}: {packed / 1e6:,.1f} MB that unpack to {unpacked / 1e9:,.1f} GB, which is not done because it "
            f"could fill the memory; expected at most {MOST_EXPANSION} times the size of the file"
        )
