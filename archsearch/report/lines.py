"""A candidate, its optimizer, and a study's command, each in one line."""

import shlex
from itertools import groupby

from archsearch.search.folder import StudyInfo
from archsearch.space.architecture import Architecture, Block, Candidate, Custom, Optimizer, Stage
from archsearch.space.hyper import HyperCandidate


def candidate_line(candidate: Candidate | HyperCandidate) -> str:
    """What is tried in one line: a network (`architecture_line`), or hyperparameters as in `units 32, rate 0.01`."""
    if isinstance(candidate, HyperCandidate):
        shown = {
            name: f"{value:.3g}" if isinstance(value, float) else value for name, value in candidate.values.items()
        }
        return ", ".join(f"{name} {value}" for name, value in shown.items()) or "no hyperparameters"
    return architecture_line(candidate.architecture)


def architecture_line(architecture: Architecture) -> str:
    """A network in one line: `conv3-16 ×2 ↓ → residual3-32 ↓ → average → dense 64`.

    Each block is kind, kernel and filters, each `↓` halves height and width; what a stage has around its blocks follows
    behind a `+`.
    """
    head = architecture.head
    hidden = [f"dense {head.hidden}"] if head.hidden else []
    return " → ".join([*map(_stage_line, architecture.stages), head.pool, *hidden])


def optimizer_line(optimizer: Optimizer) -> str:
    """An optimizer in one line: `sgd, rate 0.12, momentum 0.9`; what is 0 is left out."""
    settings = optimizer.model_dump(exclude={"kind"})
    words = [f"{name.split('_')[-1]} {value:.2g}" for name, value in settings.items() if value]
    return ", ".join([optimizer.kind, *words])


def command_line(info: StudyInfo) -> str:
    """The command that begins the study again."""
    options = {
        "data": info.data,
        "size": info.size,
        "folds": info.folds if info.all_folds else None,
        "seed": info.seed,
        "sampler": info.sampler,
        "pruner": info.pruner,
        "trials": info.trials,
        "time": f"{info.seconds:.0f}s" if info.seconds else None,
        "epochs": f"{info.epochs:g}" if info.epochs else None,
        "batch-size": info.batch_size,
        "first-rung": info.first_rung,
        "finalists": info.finalists,
        "objective": ",".join(info.objectives) if len(info.objectives) > 1 else None,
        "prefer": info.prefer if info.prefer != "accuracy" else None,
        "storage": info.storage,
        "out": info.out,
    }
    words = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
    trust = ["--trust-code"] if info.trust_code else []
    return shlex.join(["archsearch", "search", info.space_file, *trust, *words])


def _stage_line(stage: Stage) -> str:
    runs = [(name, len(list(run))) for name, run in groupby(map(_block_name, stage.blocks))]
    text = ", ".join(name if count == 1 else f"{name} ×{count}" for name, count in runs)
    around = [word for word, there in (("attention", stage.attention > 0), ("skip", stage.skip != "none")) if there]
    return " + ".join([text if stage.downsample == "none" else f"{text} ↓", *around])


def _block_name(block: Block) -> str:
    kind = block.code.rpartition(":")[2] if isinstance(block, Custom) else block.kind
    return f"{kind}{block.kernel}-{block.filters}".replace("_", " ")
