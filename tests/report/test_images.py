import sys
from pathlib import Path

import pytest
from browsers import in_turn, needs_chromium
from PIL import Image
from report_studies import PLAN, info, search, winner_of

from archsearch.errors import InputError
from archsearch.report.collect import collect
from archsearch.report.data import ReportData
from archsearch.report.images import INK, SHARP, WIDTH, write_images
from archsearch.report.page import page_figures
from archsearch.search.record import ranking


def data(trials: int = 8) -> ReportData:
    kept = search(trials, 3)
    return collect(info(), kept, winner_of(ranking(kept)[0], 1.0), PLAN)


@in_turn
@needs_chromium
@pytest.mark.slow
def test_every_figure_of_the_page_becomes_a_file(tmp_path: Path) -> None:
    drawn = data()
    files = write_images(tmp_path / "figures", drawn, "png")
    names = [name for name, _ in page_figures(drawn)]
    assert [file.name for file in files] == ["architecture.svg", *(f"{name}.png" for name in names)]
    assert sorted(tmp_path.joinpath("figures").iterdir()) == sorted(files), "nothing is left beside them"
    for file, (_, figure) in zip(files[1:], page_figures(drawn), strict=True):
        with Image.open(file) as image:
            assert image.size == (SHARP * WIDTH, SHARP * figure.layout.height)
            assert image.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
            assert len(set(image.convert("L").tobytes())) > 20, "something is drawn"


@in_turn
@needs_chromium
@pytest.mark.slow
def test_svg_has_its_text_in_ink_on_white(tmp_path: Path) -> None:
    files = write_images(tmp_path, data(), "svg")
    progress = next(file for file in files if file.name == "progress.svg").read_text()
    red, green, blue = (int(INK[at : at + 2], 16) for at in (1, 3, 5))
    assert f"fill: rgb({red}, {green}, {blue})" in progress
    assert "of search" in progress


def test_a_study_with_nothing_to_draw_needs_no_chrome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER_PATH", "/nowhere/chrome")
    assert write_images(tmp_path, collect(info(), [], None), "png") == []


@in_turn
def test_without_a_chrome_there_is_a_sentence_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER_PATH", "/nowhere/chrome")
    with pytest.raises(InputError, match="need Chrome or Chromium, and none was found that starts; install one"):
        write_images(tmp_path, data(), "svg")
    assert list(tmp_path.iterdir()) == []


def test_without_kaleido_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(InputError, match=r"pip install 'archsearch\[images\]'"):
        write_images(tmp_path, data(), "svg")
