"""HyperModels that know nothing of archsearch, searched in real worker processes; and spaces in KerasTuner's tuners."""

import math
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import optuna
import pytest
from sklearn.datasets import load_digits
from spaces import SMALL

from archsearch import retrain as retraining
from archsearch.data.sources import load_data
from archsearch.errors import InputError, SearchError, StudyError, TrialError
from archsearch.interop.candidates import BUILD_SECONDS, HyperCandidates
from archsearch.interop.kerastuner import hypermodel
from archsearch.launch import run_search
from archsearch.search.config import SearchConfig
from archsearch.search.objectives import mean_latency
from archsearch.search.record import UNDRAWN, TrialRecord
from archsearch.search.storage import open_study
from archsearch.space import code
from archsearch.space.architecture import Task
from archsearch.space.hyper import HyperCandidate, HyperRecipe
from archsearch.space.load import parse_space
from archsearch.space.sample import FixedChooser
from archsearch.study import Study

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("hypermodels")]

MODELS = Path(__file__).with_name("my_models.py")
DIGITS = Task(height=8, width=8, channels=1, classes=10)
RECIPE = HyperRecipe(batch_size=32, epochs=2)


def config(name: str, out: Path, trials: int) -> SearchConfig:
    return SearchConfig(
        space=Path(f"{MODELS}:{name}"),
        data="digits",
        out=out,
        trials=trials,
        workers=2,
        folds=2,
        pruner="none",
        trust_code=True,
        epochs=RECIPE.epochs,
        batch_size=RECIPE.batch_size,
    )


def searched(name: str, out: Path, trials: int = 1) -> Study:
    study, ended = run_search(config(name, out, trials))
    assert ended == "all trials are done"
    return study


def values(trial: TrialRecord) -> dict[str, object]:
    assert isinstance(trial.candidate, HyperCandidate)
    return dict(trial.candidate.values)


@pytest.fixture(scope="module")
def conditional(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Three trials of `Conditional`, retrained."""
    study = searched("Conditional", tmp_path_factory.mktemp("conditional") / "study", trials=3)
    assert study.retrain() is not None
    return study


def test_trial_0_has_the_defaults(conditional: Study) -> None:
    first = conditional.trials()[0]
    assert (first.baseline, first.state) == (True, "complete")
    assert values(first) == {"kind": "dense", "units": 64, "head/dropout": 0.0}
    # 64 units on 64 pixels, then ten classes.
    assert first.parameters == 65 * 64 + 65 * 10
    assert first.score is not None
    assert first.score > 0.8


def test_only_active_hyperparameters_are_drawn(conditional: Study) -> None:
    dense = {"kind", "units [kind=dense]", "head/dropout"}
    conv = {"kind", "units [kind=conv]", "head/dropout", "1.79 - momentum [kind=conv]"}
    trials = open_study(conditional.folder).get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    assert trials
    for trial in trials:
        assert set(trial.params) == (dense if trial.params["kind"] == "dense" else conv)
    for record in conditional.trials():
        drawn = values(record)
        if drawn["kind"] == "conv":
            assert 0.8 <= float(str(drawn["momentum"])) <= 0.99


def test_the_saved_model_takes_raw_pixels_and_gives_probabilities(conditional: Study) -> None:
    winner = conditional.winner()
    assert winner is not None
    test = conditional.splits().test
    given = keras.saving.load_model(conditional.folder.model).predict(np.asarray(test.images), verbose=0)
    assert given.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (given.argmax(axis=1) == test.labels).mean() == pytest.approx(winner.test.accuracy)
    assert winner.test.accuracy > 0.8


def test_the_report_shows_hyperparameters_instead_of_a_diagram(conditional: Study) -> None:
    data = conditional.report()
    page = conditional.folder.report.read_text()
    assert "<h2>Hyperparameters</h2>" in page
    assert "<h2>Architecture</h2>" not in page
    assert any(row.architecture.startswith("kind ") and "head/dropout 0" in row.architecture for row in data.ranking)
    assert "--trust-code" in data.command
    assert "--epochs 2 --batch-size 32" in data.command
    assert (conditional.path / "space.py").read_text() == MODELS.read_text()


def test_a_study_goes_on_only_with_the_same_code_and_recipe(conditional: Study) -> None:
    told = config("Conditional", conditional.path, trials=3)
    assert run_search(told)[1] == "all trials are done"
    with pytest.raises(StudyError, match="the search space has changed"):
        run_search(replace(told, epochs=3))


def test_another_process_must_trust_the_code_again(conditional: Study) -> None:
    conditional.folder.model.rename(conditional.path / "kept.keras")
    try:
        with pytest.raises(InputError, match=r"names Python code.*expected --trust-code"):
            conditional.retrain()
    finally:
        (conditional.path / "kept.keras").rename(conditional.folder.model)
    conditional.trust_code()
    assert code.trusted_folder() == MODELS.parent


@pytest.mark.parametrize(
    ("name", "epochs", "asked"),
    [
        ("build_model", 2, {"units", "activation", "dropout", "lr"}),
        ("OwnEpochs", 2, {"units", "activation", "dropout", "lr", "shuffle", "epochs"}),
        ("CustomLoop", 2, {"units", "batch_size", "learning_rate"}),
    ],
)
def test_each_way_of_training_is_measured_on_the_held_out_images(
    name: str, epochs: int, asked: set[str], tmp_path: Path
) -> None:
    (trial,) = searched(name, tmp_path / "study").trials()
    assert (trial.state, set(values(trial))) == ("complete", asked)
    assert [(report.fold, report.epoch) for report in trial.reports] == [
        (fold, epoch) for fold in (0, 1) for epoch in range(1, epochs + 1)
    ]
    assert len(trial.fold_scores) == 2
    assert min(trial.fold_scores) > 0.7


def test_a_returned_dict_is_the_score(tmp_path: Path) -> None:
    (trial,) = searched("Returns", tmp_path / "study").trials()
    assert trial.fold_scores == (0.75, 0.75)
    assert [(report.epoch, report.epochs, report.val_loss) for report in trial.reports] == [(1, 1, 0.5)] * 2


def test_a_score_that_is_no_share_fails_the_trial(tmp_path: Path) -> None:
    (trial,) = searched("Percent", tmp_path / "study").trials()
    assert trial.state == "failed"
    assert trial.reason.startswith("fit returned val_accuracy 75, expected the share of the held-out images")


@pytest.mark.parametrize("name", ["SmallResNet", "SmallXception"])
def test_kerastuners_own_hypermodels(name: str, tmp_path: Path) -> None:
    digits = load_digits()
    images = (digits.images[:80] * 15.9).astype(np.uint8).repeat(2, axis=1).repeat(2, axis=2)
    file = tmp_path / "small.npz"
    np.savez(file, x_train=np.stack([images] * 3, axis=-1), y_train=digits.target[:80])
    told = replace(config(name, tmp_path / "study", trials=1), data=str(file), epochs=1)
    (trial,) = run_search(told)[0].trials()
    assert (trial.state, trial.reason, len(trial.reports)) == ("complete", "", 2)
    assert trial.parameters > 5000


# What cannot be searched ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NeverBuilds", r"build\(hp\) with the defaults of its hyperparameters: RuntimeError: no model today"),
        ("eleven", r"the model's output is \(11,\) for an image, expected \(10,\): one score a class"),
        ("colour", r"the model takes \(32, 32, 3\), expected \(8, 8, 1\): height, width and channels"),
        ("uncompiled", r"the model is not compiled; expected build\(hp\) to compile it"),
        ("Nobody", "has no 'Nobody'"),
        ("MODELS", "has no 'MODELS'"),
        ("Any", "expected a class that needs no arguments|expected a keras_tuner.HyperModel"),
    ],
)
def test_what_builds_no_model_for_the_task_is_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        HyperCandidates(f"{MODELS}:{name}", DIGITS, RECIPE)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.py: there is no such file"):
        HyperCandidates(f"{tmp_path}/gone.py:Model", DIGITS, RECIPE)


def test_without_trust_nothing_is_run_or_written(tmp_path: Path) -> None:
    file = tmp_path / "trap.py"
    file.write_text("from pathlib import Path\nPath(__file__).with_name('run').touch()\nModel = None\n")
    told = replace(config("Model", tmp_path / "out", trials=1), space=Path(f"{file}:Model"), trust_code=False)
    with pytest.raises(InputError, match=re.escape(f"'{file}:Model' names Python code, which can do anything")):
        run_search(told)
    assert [path.name for path in tmp_path.iterdir()] == ["trap.py"]


def test_values_that_do_not_build_cost_a_trial() -> None:
    candidates = HyperCandidates(f"{MODELS}:Breaks", DIGITS, RECIPE)
    for _ in range(2):
        with pytest.raises(TrialError, match=r"RuntimeError: too deep \(.*my_models\.py:\d+\)"):
            candidates.draw(FixedChooser({"depth": 2}))
    drawn = candidates.draw(FixedChooser(candidates.baseline))
    assert isinstance(drawn.candidate, HyperCandidate)
    assert drawn.candidate.values == candidates.baseline


def test_a_build_that_hangs_lasts_no_longer_than_the_search(shared_cache: Path, tmp_path: Path) -> None:
    study = Study(tmp_path / "study")
    told = config("BuildsForEver", study.path, trials=2)

    def second_is_drawn() -> bool:
        return study.folder.info.is_file() and len(open_study(study.folder).get_trials()) == 2

    began = time.monotonic()
    _, ended = run_search(replace(told, workers=1), interrupted=second_is_drawn)
    assert ended == "interrupted"
    assert time.monotonic() - began < BUILD_SECONDS / 2
    undrawn = [trial.user_attrs.get(UNDRAWN) for trial in open_study(study.folder).get_trials()]
    assert undrawn == [None, "build(hp) had not ended when the search did"]


# The way back ---------------------------------------------------------------------------------------------------------

TUNERS: list[Callable[..., keras_tuner.Tuner]] = [
    lambda model, **told: keras_tuner.RandomSearch(model, max_trials=2, **told),
    lambda model, **told: keras_tuner.Hyperband(model, max_epochs=2, **told),
]


@pytest.mark.parametrize("tuner", TUNERS, ids=["RandomSearch", "Hyperband"])
def test_a_space_in_kerastuners_tuners(tuner: Callable[..., keras_tuner.Tuner], tmp_path: Path) -> None:
    dataset = load_data("digits")
    x, y = np.asarray(dataset.train.images[:600]), np.asarray(dataset.train.labels[:600])
    made = tuner(
        parse_space(SMALL).hypermodel(dataset.task),
        objective="val_accuracy",
        directory=tmp_path,
        project_name="way_back",
    )
    known = {declared.name: declared for declared in made.oracle.get_space().space}
    assert known["training.optimizer.adam.learning_rate"].default == 1e-2
    assert [(c.name, c.values) for c in known["stages.0.1.block"].conditions] == [("stages.0.repeat", [2])]
    made.search(x, y, validation_split=0.25, verbose=0)
    assert {trial.status for trial in made.oracle.trials.values()} == {"COMPLETED"}
    best = made.get_best_hyperparameters()[0].values
    assert ("stages.0.1.block" in best) == (best["stages.0.repeat"] == 2)
    assert made.get_best_models()[0].output_shape == (None, 10)


def test_the_defaults_are_the_baseline_and_learn() -> None:
    dataset = load_data("digits")
    x, y = np.asarray(dataset.train.images), np.asarray(dataset.train.labels)
    model = hypermodel(parse_space(SMALL + "head: {pool: flatten}\n"), dataset.task)
    hp = keras_tuner.HyperParameters()
    built = model.build(hp)
    assert hp.values["stages.0.0.filters"] == 4
    history = model.fit(hp, built, x, y, validation_data=(x, np.eye(10)[y]), epochs=4, verbose=0)
    assert history.history["val_accuracy"][-1] > 0.7
    # The recipe's cosine over all four epochs, as a search trains by it.
    steps = 4 * math.ceil(len(x) / 64)
    rates = [float(built.optimizer._learning_rate(step)) for step in (0, steps // 2, steps - 1, steps)]
    assert rates == pytest.approx([1e-2, 5e-3, 0.0, 0.0], abs=2e-4)


def test_a_layer_of_ones_own_is_exported_once_its_code_is_trusted(
    shared_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = searched("own_layer", tmp_path / "study")
    assert study.retrain(lambda point: print("epoch", point.epoch)) is not None
    assert "epoch 1\n" in capsys.readouterr().out
    assert [made.format for made in study.export([])] == ["keras", "saved_model", "onnx", "litert"]
    code._trusted.clear()
    with pytest.raises(InputError, match="need --trust-code"):
        study.export(["keras"])
    study.trust_code()
    assert [made.agreement for made in study.export(["keras"])] == [1.0]


def test_a_deadline_ends_a_retraining(shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Else a slow moment in the search would leave time for all of its two epochs.
    monkeypatch.setattr(retraining, "LEAST", 0.0)
    monkeypatch.setattr(retraining, "LEAST_SECONDS", 1e-6)
    study = searched("own_layer", tmp_path / "study")
    winner = study.retrain(until=time.monotonic())
    assert winner is not None
    assert 0 < winner.epochs < RECIPE.epochs


def test_a_hypermodel_is_explained_without_the_overfit_check(shared_cache: Path, tmp_path: Path) -> None:
    story = searched("own_layer", tmp_path / "study").explain()
    assert (story.has_memory, story.memory, story.missing) == (False, None, 0)


def test_latency_is_measured_before_a_model_is_trained(shared_cache: Path, tmp_path: Path) -> None:
    wanted = replace(config("own_layer", tmp_path / "study", 1), objectives=("accuracy", "latency"))
    study, _ = run_search(wanted)
    (trial,) = study.trials()
    assert trial.state == "complete"
    assert 0 < (mean_latency(trial) or 0.0) < 1


def test_a_model_that_keras_cannot_save_is_said_to_be_one(shared_cache: Path, tmp_path: Path) -> None:
    study = searched("unsaveable", tmp_path / "study")
    with pytest.raises(SearchError, match=r"cannot be saved.*Please implement `get_config\(\)`"):
        study.retrain()
    assert not (study.path / "best").exists()
    assert not (study.path / ".best.tmp").exists()
