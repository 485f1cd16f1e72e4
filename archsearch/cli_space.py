"""The commands on search spaces: `archsearch space …`. They print, and start neither TensorFlow nor Optuna."""

import json
import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archsearch.errors import InputError
from archsearch.files import write_whole
from archsearch.printable import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    from archsearch.data.dataset import Dataset
    from archsearch.display_space import Costs
    from archsearch.space.architecture import Architecture, Candidate
    from archsearch.space.load import Space

app = typer.Typer(help="Look into a search space before searching it.", no_args_is_help=True)

SpaceFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="A search space, such as search_spaces/digits.yaml.", show_default=False)
]
Data = Annotated[str | None, typer.Option(help="What 'search' takes as --data.", show_default="none")]
Size = Annotated[int | None, typer.Option(help="Resize images to this side, in pixels.", show_default="as they are")]
Seed = Annotated[int, typer.Option(help="Of the draws.")]
TrustCode = Annotated[bool, typer.Option("--trust-code", help="Run the Python code that the space names.")]

FOLDS = 3
"""For which the seconds of an epoch are said: as many as 'search' has if it is not told otherwise."""

ASSUMED = {"height": 32, "width": 32, "channels": 3, "classes": 10}
"""Images that samples are drawn for where no data is given."""


@app.command()
def check(
    file: SpaceFile,
    data: Data = None,
    size: Size = None,
    samples: Annotated[int, typer.Option(min=1, help="Random draws that costs are counted of.")] = 10_000,
    seed: Seed = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Write a page of histograms, such as space.html.", show_default="none")
    ] = None,
    trust_code: TrustCode = False,
) -> None:
    """Say what is wrong with a space, or what it holds and costs; nothing is trained.

    Ends with exit code 2 if the space cannot be used.
    """
    from archsearch import display_space
    from archsearch.space.analyse import different_networks
    from archsearch.space.check import check_space
    from archsearch.space.count import count

    if plot and data is None:
        raise InputError("--plot: costs depend on the images; expected --data beside it, such as --data digits")
    dataset = _dataset(data, size)
    space = check_space(file, dataset.task if dataset else None, trust_code)
    networks = different_networks(space, dataset.task) if dataset else None
    costs = _costs(space, dataset, samples, seed) if dataset else None
    console().print(display_space.check_view(str(file), count(space), networks, costs), soft_wrap=True)
    if plot and costs:
        _write_plot(plot, space, costs)
        typer.echo(f"plot: {plot}")


@app.command()
def show(file: SpaceFile, trust_code: TrustCode = False) -> None:
    """Print all choices of a space, and under which condition each is made, as a tree."""
    from archsearch import display_space
    from archsearch.space.describe import tree
    from archsearch.space.load import load_space

    console().print(display_space.tree_view(tree(load_space(file, trust_code))))


@app.command("sample")
def sample_command(
    file: SpaceFile,
    number: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 5,
    seed: Seed = 0,
    data: Data = None,
    size: Size = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of candidates instead.")] = False,
    trust_code: TrustCode = False,
) -> None:
    """Draw candidates at random and print each as a table."""
    import random

    from archsearch import display_space
    from archsearch.space.architecture import Task
    from archsearch.space.check import check_space
    from archsearch.space.sample import RandomChooser, sample

    dataset = _dataset(data, size)
    space = check_space(file, dataset.task if dataset else None, trust_code)
    task = dataset.task if dataset else Task.model_validate(ASSUMED)
    chooser = RandomChooser(random.Random(seed))
    candidates = [sample(space, chooser, task) for _ in range(number)]
    if dataset is None:
        said = f"for {task.height}x{task.width} colour images and {task.classes} classes; --data says which"
        typer.echo(said, err=as_json)
    if as_json:
        typer.echo(json.dumps([candidate.model_dump(mode="json") for candidate in candidates], indent=2))
        return
    for position, candidate in enumerate(candidates, start=1):
        console().print("", display_space.candidate_view(f"candidate {position}", candidate), sep="\n")


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="A", help="A space, a JSON file of a candidate, or a study's folder.")],
    new: Annotated[str, typer.Argument(metavar="B", help="Another one of the same kind.")],
    trust_code: TrustCode = False,
) -> None:
    """Say what two spaces, or two architectures, differ in.

    Ends with exit code 0 if they are equal, 1 if they differ, 2 if they cannot be compared.
    """
    from archsearch import display_space
    from archsearch.space.diff import diff_parts, diff_spaces
    from archsearch.space.load import Space

    before, after = (_comparable(Path(name), trust_code) for name in (old, new))
    if isinstance(before, Space) and isinstance(after, Space):
        found = diff_spaces(before, after)
    elif not isinstance(before, Space) and not isinstance(after, Space):
        if type(before) is not type(after):
            typer.echo("only one of them says how it is trained: architectures alone are compared")
            before, after = (getattr(each, "architecture", each) for each in (before, after))
        found = diff_parts(before, after)
    else:
        raise InputError(f"{old}, {new}: found a space and an architecture; expected two of the same kind")
    if not found:
        typer.echo("equal")
        return
    console().print(display_space.diff_view(old, new, found), soft_wrap=True)
    raise typer.Exit(1)


@app.command()
def new(
    data: Annotated[str, typer.Option(help="What 'search' takes as --data.", show_default=False)],
    size: Size = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help="What 'search' will take as --folds.", show_default="planned")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write.", show_default="<name of the data>.yaml")] = None,
) -> None:
    """Write a search space that suits a data set, as a commented file to edit."""
    from archsearch.data.sources import load_data
    from archsearch.data.splits import parts_for
    from archsearch.data.suggest import name_of, suggest_space

    file = out or Path(f"{name_of(data)}.yaml")
    if file.exists():
        raise InputError(f"{file}: is there already, and is not overwritten; expected another --out")
    images = load_data(data, size)
    suggestion = suggest_space(images, folds or parts_for(images), str(file))
    try:
        write_whole(file, suggestion.text)
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror}; expected a file in a folder") from error
    typer.echo(f"{file}: {suggestion.why}")
    typer.echo(f"next: {shlex.join(['archsearch', 'space', 'check', str(file), '--data', data])}")


@app.command()
def schema() -> None:
    """Print the language as JSON Schema, by which editors complete space files."""
    from archsearch.space.editor import editor_schema

    typer.echo(json.dumps(editor_schema(), indent=2, ensure_ascii=False))


def console() -> "Console":
    """Where both files of commands print."""
    from rich.console import Console

    class Printing(Console):
        def render(self, renderable: "RenderableType", options: "ConsoleOptions | None" = None) -> "Iterable[Segment]":
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=printable(segment.text, kept="\n"))

    # Names of folders and classes may hold brackets: nothing that is printed is markup, and nothing moves the cursor.
    made = Printing(markup=False, highlight=False)
    if not made.is_terminal and not os.environ.get("COLUMNS"):
        made.width = 120  # a file has no width, and Rich takes it for a terminal of 80 columns
    return made


def _dataset(data: str | None, size: int | None) -> "Dataset | None":
    from archsearch.data.sources import load_data

    if data is None and size is not None:
        raise InputError("--size: found no images to resize; expected --data beside it")
    return load_data(data, size) if data else None


def _costs(space: "Space", dataset: "Dataset", samples: int, seed: int) -> "Costs":
    from archsearch.data.suggest import images_in_a_fold
    from archsearch.display_space import Costs
    from archsearch.space.analyse import analyse
    from archsearch.space.cost import cost
    from archsearch.space.probe import epoch_seconds, probe
    from archsearch.space.sample import baseline_candidate

    analysis = analyse(space, dataset.task, samples, seed)
    baseline = baseline_candidate(space, dataset.task)
    machine, images, batch = probe(), images_in_a_fold(dataset, FOLDS), baseline.recipe.batch_size
    return Costs(
        source=dataset.source,
        task=dataset.task,
        images=len(dataset.train),
        images_in_a_fold=images,
        analysis=analysis,
        seconds=[epoch_seconds(example, images, machine, batch) for example in analysis.examples],
        baseline=cost(baseline.architecture),
        baseline_seconds=epoch_seconds(baseline.architecture, images, machine, batch),
        limits=space.limits,
    )


def _write_plot(path: Path, space: "Space", costs: "Costs") -> None:
    from archsearch.display_space import LABELS
    from archsearch.report.spread import Measure, spread_page

    found = costs.analysis.costs
    measures = [
        Measure(
            label if name == "parameters" else f"{label}, for one image",
            [getattr(cost, name) for cost in found],
            getattr(costs.baseline, name),
            costs.limits.get(name),
        )
        for name, label in LABELS.items()
    ]
    measures.append(Measure("seconds an epoch, one thread, about", costs.seconds, costs.baseline_seconds))
    page = spread_page(f"{space.name}: {len(found):,} random architectures for {Path(costs.source).name}", measures)
    try:
        write_whole(path, page)
    except OSError as error:
        raise InputError(f"--plot: {path} cannot be written: {error.strerror}; expected a file in a folder") from error


def _comparable(path: Path, trust_code: bool) -> "Space | Candidate | Architecture":
    """What `path` holds: a space, the winner of a study, or a candidate or an architecture as JSON."""
    from archsearch.search.folder import StudyFolder
    from archsearch.space.architecture import Candidate
    from archsearch.space.load import load_space

    if not path.exists():
        raise InputError(f"{path}: there is no such file; expected a space, a study's folder, or a candidate as JSON")
    if path.is_dir():
        folder = StudyFolder(path)
        folder.read_info()
        if winner := folder.read_winner():
            if isinstance(winner.candidate, Candidate):
                return winner.candidate
            raise InputError(f"{path}: found a study of a HyperModel; expected one of a search space")
        raise InputError(f"{path}: found a study without a winner; 'archsearch retrain {path}' makes one")
    return _read_json(path) if path.suffix == ".json" else load_space(path, trust_code)


def _read_json(path: Path) -> "Candidate | Architecture":
    from pydantic import ValidationError

    from archsearch.space.architecture import Architecture, Candidate

    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as JSON ({error}); expected a candidate or an architecture"
        ) from error
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if isinstance(found, list):
        raise InputError(f"{path}: found a list of {len(found)}; expected one candidate: 'space sample -n 1 --json'")
    if isinstance(found, dict):
        found = found.get("candidate", found)  # best/model.json
    kind = Candidate if isinstance(found, dict) and "recipe" in found else Architecture
    try:
        return kind.model_validate_json(json.dumps(found))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"{path}: {where}: {first['msg']}; expected a candidate or an architecture") from error
