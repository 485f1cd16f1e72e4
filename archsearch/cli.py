"""The commands: parse, call one library function, print.

Everything heavy is imported inside the command that needs it, so that `--help` is quick.
"""

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from archsearch import cli_space
from archsearch.cli_space import Size, TrustCode, console
from archsearch.errors import ArchsearchError, InputError, SpaceError
from archsearch.files import scratch, trouble
from archsearch.printable import printable

if TYPE_CHECKING:
    from archsearch.report.data import ReportData
    from archsearch.report.story import Story
    from archsearch.search.claim import Claim
    from archsearch.search.coordinator import Progress
    from archsearch.study import Study
    from archsearch.training.job import Point

app = typer.Typer(
    help="Finds a neural network's architecture for your images and leaves you the winner ready to ship.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Look at a data set before searching on it.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(cli_space.app, name="space")

StudyPath = Annotated[Path, typer.Argument(metavar="STUDY", help="A study's folder, such as reports/digits.")]
TrialNumber = Annotated[int, typer.Argument(metavar="TRIAL", help="Its number in the study.", min=0)]
Data = Annotated[
    str,
    typer.Option(help="digits, mnist, fashion_mnist, cifar10, cifar100, a .npz or .csv file, or a folder of images."),
]


@app.command()
def search(
    space: Annotated[
        Path | None,
        typer.Argument(
            metavar="[SPACE]",
            help="A search space, such as search_spaces/digits.yaml; or a KerasTuner HyperModel, such as "
            "my_models.py:MyHyperModel.",
            show_default="one that suits the data",
        ),
    ] = None,
    data: Data = "digits",
    out: Annotated[
        Path | None,
        typer.Option(help="The study's folder.", show_default="reports/<name of the space file, or of the data>"),
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Most trials that train.", show_default="no limit")] = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="Time for everything, retraining included: 90s, 10m, 1h30m.", show_default="10m, or none with --trials"
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Trials at once.", show_default="one a GPU, else one a core; with ray: what the cluster holds"
        ),
    ] = None,
    workers_per_gpu: Annotated[
        int | None, typer.Option(help="Instead of --workers: trials that share a GPU.", show_default="1")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(help="Folds of the cross-validation; every candidate runs all.", show_default="planned"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the splits, the sampler and the training.")] = 0,
    size: Size = None,
    sampler: Annotated[str, typer.Option(help="tpe, random or qmc.")] = "tpe",
    pruner: Annotated[str, typer.Option(help="halving, hyperband, median or none.")] = "halving",
    trust_code: TrustCode = False,
    epochs: Annotated[
        float | None,
        typer.Option(
            help="Passes over a fold's images, where the space has none.", show_default="planned; 10 for a HyperModel"
        ),
    ] = None,
    first_rung: Annotated[
        int | None,
        typer.Option(help="Images that train a candidate before the first are dropped.", show_default="planned"),
    ] = None,
    finalists: Annotated[
        int | None, typer.Option(help="The best that run again before one wins.", show_default="planned")
    ] = None,
    objective: Annotated[
        str,
        typer.Option(help="accuracy; or with more: accuracy,parameters (or flops, latency, robustness)."),
    ] = "accuracy",
    prefer: Annotated[
        str, typer.Option(help="accuracy, or small: the smallest of those that are as good as the best.")
    ] = "accuracy",
    batch_size: Annotated[
        int | None, typer.Option(help="Images a step; only for a HyperModel.", show_default="128")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="postgresql://user@host/database, for several machines that search together.",
            show_default="a file in the study's folder",
        ),
    ] = None,
    trial_timeout: Annotated[
        str, typer.Option(help="Time without a training step after which a trial has failed: 90s, 10m, 1h.")
    ] = "10m",
    executor: Annotated[str, typer.Option(help="Where trials run: local, or ray for a cluster.")] = "local",
    cpus_per_trial: Annotated[
        float | None, typer.Option(help="With ray: CPUs that a trial takes.", show_default="1")
    ] = None,
    gpus_per_trial: Annotated[
        float | None, typer.Option(help="With ray: GPUs that a trial takes, such as 1 or 0.5.", show_default="0")
    ] = None,
    track: Annotated[
        list[str] | None, typer.Option(help="tensorboard, mlflow or wandb; may be given again.", show_default="none")
    ] = None,
) -> None:
    """Search for the best architecture; the same command continues a study that was stopped."""
    from archsearch import display
    from archsearch.launch import default_folder, run_search, suggestion
    from archsearch.search.config import SearchConfig, parse_duration
    from archsearch.search.folder import StudyFolder
    from archsearch.track.observer import Tracking
    from archsearch.track.trackers import load_tracker

    config = SearchConfig(
        space=space,
        data=data,
        out=out or default_folder(space, data),
        trials=trials,
        seconds=None if time is None else parse_duration(time),
        workers=workers,
        workers_per_gpu=workers_per_gpu,
        folds=folds,
        seed=seed,
        size=size,
        sampler=sampler,
        pruner=pruner,
        trust_code=trust_code,
        epochs=epochs,
        batch_size=batch_size,
        first_rung=first_rung,
        finalists=finalists,
        prefer=prefer,
        storage=storage,
        trial_timeout=parse_duration(trial_timeout, "trial-timeout"),
        objectives=tuple(name.strip() for name in objective.split(",")),
        executor=executor,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
    )
    if space is None:
        typer.echo(suggestion(config))
    trackers = {name: load_tracker(name) for name in track or []}
    with Tracking(trackers, StudyFolder(config.out)) as tracked, _ctrl_c() as interrupted:
        with display.follow(console()) as watch:

            def told(progress: "Progress") -> None:
                watch(progress)
                tracked(progress)

            study, ended = run_search(config, told, interrupted)
        typer.echo(f"search over: {ended}")
        if study.best() is None and not interrupted():
            study.report()
            typer.echo(f"report: {study.folder.report}")
        if not interrupted():
            with closing(study.claim()) as claim:
                if not claim.elsewhere:
                    until = study.retrained_by(config.budget)
                    _retrain(study, claim, lambda: bool(claim.elsewhere) or interrupted(), until, config.trial_timeout)
                if claim.elsewhere:
                    done = "was" if claim.is_done else "is being"
                    typer.echo(f"the winner {done} retrained elsewhere: {claim.elsewhere}")
                    typer.echo(f"If it comes to nothing there, 'archsearch retrain {study.path}' does it here.")
        if interrupted():
            study.report()
            typer.echo(f"report: {study.folder.report}\nThe same command goes on from here.")
            raise typer.Exit(130)
        found = study.report()
        _print_ranking(found)
        _print_answer(found, study)
        if study.end_the_dead(interrupted):
            study.report()
        if interrupted():
            raise typer.Exit(130)


@app.command()
def status(study: StudyPath) -> None:
    """Show how a study stands, also while it runs."""
    from archsearch import display
    from archsearch.study import Study

    data = Study(study).collect()
    typer.echo(display.study_lines(data))
    if data.ranking:
        _print_ranking(data)


@app.command()
def show(study: StudyPath, trial: TrialNumber, trust_code: TrustCode = False) -> None:
    """Show one trial: its architecture, its folds, and why it ended."""
    from archsearch.display_trial import trial_view

    console().print(trial_view(_study(study, trust_code).trial(trial)))


@app.command()
def replay(study: StudyPath, trial: TrialNumber, trust_code: TrustCode = False) -> None:
    """Train a trial again from its seed, and say how far the result is from the recorded one."""
    from archsearch.display_trial import replay_line, report_line

    found = _study(study, trust_code)
    with _ctrl_c() as interrupted:
        replayed = found.replay(trial, lambda report: typer.echo(report_line(report)), interrupted)
    if replayed is None:
        raise typer.Exit(130)
    typer.echo(replay_line(trial, replayed))


@app.command()
def report(
    study: StudyPath,
    format: Annotated[
        Literal["html", "md", "csv", "json", "png", "svg"],
        typer.Option(
            help="html writes the files; md, csv and json are printed, and nothing is written; png and svg write "
            "each figure to a file."
        ),
    ] = "html",
    trust_code: TrustCode = False,
) -> None:
    """Write report.html, leaderboard.csv and report.json anew; or print a study in another format."""
    found = _study(study, trust_code)
    if format == "html":
        found.report()
        typer.echo(f"report: {found.folder.report}")
    elif format == "png" or format == "svg":
        files = found.images(format)
        typer.echo("\n".join(map(str, files)) or "there is nothing to draw yet")
    else:
        typer.echo(found.table(format).rstrip("\n"))


@app.command()
def explain(
    study: StudyPath,
    time: Annotated[
        str | None, typer.Option(help="How long it may take: 90s, 5m, 1h.", show_default="as long as it needs")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Trainings at once.", show_default="the cores")] = None,
    trust_code: TrustCode = False,
) -> None:
    """Measure why the winner won: what each change from the baseline was worth."""
    from archsearch.display_trial import story_lines
    from archsearch.search.config import parse_duration

    found = _study(study, trust_code)
    seconds = parse_duration(time) if time else None

    def show(story: "Story") -> None:
        typer.echo(f"  {story.missing} training{'s' * (story.missing != 1)} to go")

    with _ctrl_c() as interrupted:
        story = found.explain(seconds, workers, show, interrupted)
        typer.echo(story_lines(story))
        found.report()
        typer.echo(f"report: {found.folder.report}")
        if interrupted():
            raise typer.Exit(130)


@app.command()
def compare(
    studies: Annotated[list[Path], typer.Argument(metavar="STUDY STUDY…", help="Folders of two studies or more.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("reports/compare.html"),
    trust_code: TrustCode = False,
) -> None:
    """Set several studies side by side, on one page."""
    from archsearch import display
    from archsearch.study import compare

    if len(studies) < 2:
        raise InputError(f"compare: found {len(studies)} study, expected two or more")
    for each in studies:
        _study(each, trust_code)
    answer, rows = compare(studies, out)
    console().print(display.comparison_table(rows), soft_wrap=False)
    typer.echo(f"{answer}\npage: {out}")


@app.command()
def retrain(study: StudyPath, trust_code: TrustCode = False) -> None:
    """Train the best architecture on all but the test set, and score it there once."""
    from archsearch.search.config import TRIAL_TIMEOUT

    found = _study(study, trust_code)
    with _ctrl_c() as interrupted, closing(found.claim()) as claim:
        if claim.elsewhere and not claim.is_done:
            typer.echo(f"the winner is being retrained elsewhere, too: {claim.elsewhere}")
        _retrain(found, claim, interrupted, None, TRIAL_TIMEOUT)
        if interrupted():
            raise typer.Exit(130)
    _print_answer(found.report(), found)


@app.command()
def export(
    source: Annotated[Path, typer.Argument(metavar="STUDY|MODEL", help="A study's folder, or a .keras file.")],
    more: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    format: Annotated[
        list[str] | None,
        typer.Option(
            help="keras, saved_model, onnx, litert; several may follow.", show_default="all that are installed"
        ),
    ] = None,
    quantize: Annotated[
        str | None,
        typer.Option(help="float16, int8 or dynamic, for onnx and litert.", show_default="weights stay as they are"),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="For a .keras file: the data it is compared on.", show_default="random pixels")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="For a .keras file: where to.", show_default="NAME-exports/ beside it")
    ] = None,
    trial: Annotated[
        int | None, typer.Option(help="Of a study: its number; it is retrained and tested.", show_default="the winner")
    ] = None,
    trust_code: TrustCode = False,
) -> None:
    """Write the retrained winner in other formats, each proven in its own runtime to answer as Keras does."""
    from archsearch import display
    from archsearch.search.certificate import read_exports
    from archsearch.standalone import export_file

    # `--format a b`: what follows the first name arrives as further arguments.
    formats, numbers = [*(format or []), *(more or [])], quantize or "float32"
    if source.suffix == ".keras":
        if trial is not None:
            raise InputError("export: --trial goes with a study")
        where = out or source.with_name(f"{source.stem}-exports")
        made = export_file(source, formats, where, numbers, data)
    elif source.is_file():
        raise InputError(f"{source}: expected a study's folder or a .keras file")
    elif data or out:
        raise InputError("export: --data and --out go with a .keras file; a study knows its own")
    else:
        found = _study(source, trust_code)
        where = found.shipped(trial).exports
        made = found.export(formats, numbers, trial, partial(_show_point, found))
        found.report()
    console().print(display.certificates_table(made))
    if exports := read_exports(where):
        typer.echo(f"asked for {exports.asked}, each in its own runtime, on one thread")
    typer.echo(f"files: {where}")


@app.command()
def stress(
    source: Annotated[Path, typer.Argument(metavar="STUDY|MODEL", help="A study's folder, or an exported model.")],
    data: Annotated[
        str | None, typer.Option(help="For a model: images that it was not trained on.", show_default=False)
    ] = None,
    trust_code: TrustCode = False,
) -> None:
    """Test how a model stands what happens to images: turned, shifted, blurred, noisy, and some that are no class."""
    from archsearch.display_stress import stress_view
    from archsearch.standalone import stress_model

    if (source / "saved_model.pb").is_file() or (source.suffix and not source.is_dir()):
        found, images = stress_model(source, data)
        console().print(stress_view(found))
        typer.echo(f"on {images}")
        return
    if data:
        raise InputError("stress: --data goes with a model; a study knows its own")
    study = _study(source, trust_code)
    with console().status("changing images and asking the model, again and again"):
        found = study.stress()
    console().print(stress_view(found))
    study.report()
    typer.echo(f"report: {study.folder.report}")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A .onnx, .tflite or .keras file, or the folder of a SavedModel.")],
    images: Annotated[list[Path], typer.Argument(help="PNG or JPEG files, or folders of them.")],
    format: Annotated[
        Literal["csv", "json"], typer.Option(help="csv has the most probable class; json the probabilities of all.")
    ] = "csv",
) -> None:
    """Name the class of images with an exported model; .onnx and .tflite files need no TensorFlow.

    Ends with exit code 1 if some images cannot be read; the others are named all the same.
    """
    from archsearch import display
    from archsearch.data.pictures import find_pictures
    from archsearch.export.predict import WRITERS, predictions
    from archsearch.export.runtimes import load

    files = find_pictures(images)
    unreadable = WRITERS[format](display.counted(predictions(load(model), files), len(files)), sys.stdout)
    for each in unreadable:
        typer.echo(f"{each.name}: {each.reason}", err=True)
    if unreadable:
        raise typer.Exit(1)


@app.command()
def demo(
    study: StudyPath,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the page there, for any web server to host.", show_default="serve it from here"),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8090,
    trust_code: TrustCode = False,
) -> None:
    """Open a page that runs the winner in the browser: draw, or drop an image, and see what the network sees."""
    from tempfile import TemporaryDirectory

    from archsearch.demo.server import serve

    found = _study(study, trust_code)
    if out is not None:
        found.demo(out)
        typer.echo(f"page: {out}\nAny web server can host it, such as: python -m http.server --directory {out}")
        return
    with TemporaryDirectory(dir=scratch()) as folder:
        page = Path(folder, "demo")
        found.demo(page)
        _served("demo", host, port, lambda ready: serve(page, host, port, ready))


@app.command()
def dashboard(
    study: StudyPath,
    host: Annotated[
        str, typer.Option(help="Address to listen on; anyone who reaches it can change the study.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
) -> None:
    """Open Optuna's dashboard on a study, also while it runs."""
    from archsearch.dashboard.server import is_loopback, serve

    if not is_loopback(host):
        typer.echo(
            f"warning: the dashboard has no password; whoever reaches {host}:{port} can change and delete the study",
            err=True,
        )
    _served("dashboard", host, port, lambda ready: serve(study, host, port, ready))


@data_app.command("check")
def data_check(source: Annotated[str, typer.Argument(help="What --data takes.")], size: Size = None) -> None:
    """Say what a data source holds: images, classes, balance, duplicates, unreadable files.

    Ends with exit code 2 if no search can be run on it.
    """
    from archsearch import display
    from archsearch.data.check import check_data

    check = check_data(source, size)
    console().print(display.data_view(check), soft_wrap=True)
    if check.problems:
        raise typer.Exit(2)


def main() -> None:
    """Runs the command line; errors become one message and an exit code."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    signal.signal(signal.SIGINT, _interrupt)
    _Interrupted.came = False
    sys.unraisablehook = _not_lost
    try:
        app()
    except _Interrupted:
        _fail("interrupted; what was finished is kept", 130)
    except SpaceError as error:
        _fail(error.pictured() if sys.stderr.isatty() else error, 2)
    except InputError as error:
        _fail(error, 2)
    except ArchsearchError as error:
        _fail(error, 1)
    except OSError as error:
        if (said := trouble(error)) is None:
            raise
        _fail(said, 1)
    except Exception:
        if not _Interrupted.came:  # which libraries turn into errors of their own
            raise
        _fail("interrupted; what was finished is kept", 130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: what Python does at its exit takes a moment


class _Interrupted(BaseException):
    """Ctrl-C, under a name that Typer does not turn into its own."""

    came = False

    def __init__(self) -> None:
        _Interrupted.came = True


def _interrupt(number: int, frame: object) -> NoReturn:
    raise _Interrupted


def _not_lost(unraisable: "sys.UnraisableHookArgs") -> None:
    """Python drops what is raised while it deletes an object; a Ctrl-C that comes just then comes again."""
    if unraisable.exc_type is _Interrupted:
        Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(unraisable)


def _fail(message: object, code: int) -> NoReturn:
    print(printable(str(message), kept="\n\t"), file=sys.stderr)
    sys.exit(code)


def _served(name: str, host: str, port: int, serve: Callable[[Callable[[], None]], None]) -> None:
    """Says where something is served, until Ctrl-C."""
    try:
        where = f"[{host}]" if ":" in host else host
        serve(lambda: typer.echo(f"{name}: http://{where}:{port}/  (Ctrl-C ends it)"))
    except _Interrupted:
        return
    except OSError as error:
        other = "--host" if isinstance(error, socket.gaierror) else "--port"
        raise InputError(f"{name}: cannot listen on {host}:{port}: {error.strerror}; choose another {other}") from error


def _study(path: Path, trust_code: bool) -> "Study":
    from archsearch.study import Study

    found = Study(path)
    if trust_code:
        found.trust_code()
    return found


def _retrain(
    study: "Study", claim: "Claim", interrupted: Callable[[], bool], until: float | None, timeout: float
) -> None:
    told: list[object] = []

    def show(point: "Point") -> None:
        if not told:  # the winner trains in its own process: time to write what the search has found
            study.report()
        told.append(point)
        _show_point(study, point)

    def meanwhile() -> bool:
        claim.keep()
        return interrupted()

    if study.is_retrained:
        typer.echo("best/ has the best architecture already, retrained and tested")
    else:
        if study.best():
            typer.echo("retraining the best architecture on everything but the test set")
        outdated = study.folder.exports.exists() or study.folder.stress.exists()
        if study.retrain(show, meanwhile, until, timeout) and outdated:
            typer.echo("what the former winner was exported to, and its stress test, are gone with it")
    if study.is_retrained and not claim.elsewhere:  # also if Ctrl-C came in between
        claim.settle()


def _show_point(study: "Study", point: "Point") -> None:
    fitted, epochs = point.fitted, point.images / study.info.train_images
    typer.echo(f"  {epochs:.3g} epochs  loss {fitted.loss:.4f}  accuracy {fitted.accuracy:.2%}")


def _print_ranking(data: "ReportData") -> None:
    from archsearch import display

    shown_in = console()
    shown_in.print(display.ranking_table(data, shown_in.width))


def _print_answer(data: "ReportData", study: "Study") -> None:
    from archsearch import display

    if data.retrained:
        typer.echo(display.answer_lines(data, study.folder))


@contextmanager
def _ctrl_c() -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C (or SIGTERM) has come; the second one ends the program at once."""
    came: list[int] = []
    shown = os.dup(2)  # it is silenced while processes start

    def handle(number: int, frame: object) -> None:
        if came:
            raise _Interrupted
        came.append(number)
        os.write(shown, b"\nending; Ctrl-C again ends at once\n")  # a handler may come amid any other output

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(shown)
