"""What is pasted into a pull request."""

import re

from report_studies import info, search, winner_of

from archsearch.report.collect import collect
from archsearch.report.markdown import ROWS, code, fenced, markdown, plain
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


HOSTILE = "<img src=x onerror=alert(1)> [a](javascript:1) ![b](http://evil) **c** `d` ```e | \x1b[31m\n# f"


def test_words_from_elsewhere_have_no_effect() -> None:
    """CommonMark 0.31: `<` begins HTML, brackets links, and each of the others formatting."""
    words = plain(HOSTILE)
    assert "<" not in words
    assert not re.search(r"(?<!\\)[*_`\[\]|#~]", words)
    assert "\n" not in words
    assert "\x1b" not in words


def test_code_is_ended_by_nothing_in_it() -> None:
    assert code("conv3-8") == "`conv3-8`"
    assert code("a`b``c|d\ne") == "``` a`b``c\\|d e ```"
    assert fenced("a: 1\n") == "```\na: 1\n```"
    assert fenced("a\n````\n<b>", "yaml") == "`````yaml\na\n````\n<b>\n`````"


def test_names_are_plain() -> None:
    text = markdown(HOSTILE, collect(info(data=HOSTILE, version=HOSTILE), search(2), None))
    prose = re.sub(r"^(`{3,})\n.*?\n\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "<img" not in prose
    assert not re.search(r"(?<!\\)\]\(", prose)
    assert "\x1b" not in text
