"""Scores and differences as people read them."""


def percent(score: float | None, error: float | None = None, decimals: int = 2) -> str:
    """`98.31 ± 0.12 %`, or a dash for None."""
    if score is None:
        return "–"
    spread = f" ± {100 * error:.{decimals}f}" if error is not None else ""
    return f"{100 * score:.{decimals}f}{spread} %"


def signed(share: float, decimals: int = 2) -> str:
    """A difference of shares in points: `+0.12`, and never `-0.00`."""
    return f"{round(100 * share, decimals) + 0.0:+.{decimals}f}"


def digits(images: int) -> int:
    """Decimals of a percentage that was counted over `images`: 1 up to a thousand images, then 2."""
    return 1 if images <= 1000 else 2
