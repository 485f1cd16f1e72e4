"""What is pasted into a pull request."""

import re

from report_studies import info, search, winner_of

from archsearch.report.collect import collect
from archsearch.report.markdown import ROWS, markdown
from archsearch.search.record import ranking


def test_the_answer_the_ranking_and_the_command() -> None:
    kept = search(ROWS + 4)
    best = ranking(kept)[0]
    data = collect(info(), kept, winner_of(best))
    text = markdown("digits", data)
    assert text.startswith("## digits\n\n**Trial ")
    assert "it gets 97.8 % of 360 test images right" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + ROWS
    assert {line.count("|") for line in rows} == {7}
    assert f"| 1 | {best.number} | {100 * (best.score or 0):.2f} ± " in rows[2]
    assert "4 more in leaderboard.csv." in text
    assert all(f"- {remark}" in text for remark in data.remarks)
    assert text.endswith(f"```\n{data.command}\n```")


def test_without_a_winner_it_says_so() -> None:
    text = markdown("digits", collect(info(), search(0, 3), None))
    assert "There is no winner yet." in text
    assert "|" not in text


def test_a_bar_in_a_name_does_not_end_its_cell() -> None:
    kept = search(2)
    data = collect(info(), kept, None)
    row = data.ranking[0].model_copy(update={"architecture": "a|b"})
    text = markdown("digits", data.model_copy(update={"ranking": (row,)}))
    assert re.search(r"`a\\\|b` \|$", text, re.MULTILINE)
