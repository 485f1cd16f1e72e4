import pytest

from archsearch.printable import is_printable, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x9b31m", "\\x9b31m"),
        ("evil\u202egnp.exe", "evil\\u202egnp.exe"),
        ("\u200b", "\\u200b"),
        ("\ufeffname", "\\ufeffname"),
        ("one\u2028two", "one\\u2028two"),
        ("half\udcff", "half\\udcff"),
        ("\0", "\\x00"),
    ],
)
def test_what_acts_on_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert not is_printable(text)
    assert printable(text) == shown
    assert is_printable(shown)


@pytest.mark.parametrize("text", ["", "naïve", "猫", "می‌خواهم", "👩‍🚀", "a b\u00a0c\u3000d", "<b>[red]`|\\"])
def test_all_other_text_stays(text: str) -> None:
    assert is_printable(text)
    assert printable(text) == text


def test_line_ends_may_be_kept() -> None:
    assert printable("a\n\tb\r\n", kept="\n\t") == "a\n\tb\\r\n"
