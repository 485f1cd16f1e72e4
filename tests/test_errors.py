from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from archsearch.errors import Problem, SpaceError, what_broke
from archsearch.search.executors.worker import cause_of


@pytest.mark.parametrize(
    ("line", "column", "shown", "caret"),
    [
        ("    dropout: 2", 14, "    dropout: 2", 13),
        ("\tdropout: 2", 11, " dropout: 2", 10),
        ("名: 形 # 2", 8, "名: 形 # 2", 9),
        ("x" * 100 + "y" + "z" * 100, 101, "…" + "x" * 60 + "y" + "z" * 49 + "…", 61),
        ("name: a", 8, "name: a", 7),
        ("kernel: 3   ", 9, "kernel: 3", 8),
    ],
)
def test_the_caret_stands_below_the_column(line: str, column: int, shown: str, caret: int) -> None:
    picture = Problem("f", 3, column, "a", "wrong", line).pictured().splitlines()
    assert picture == [f"f:3:{column}: a: wrong", f"    {shown}", "    " + " " * caret + "^"]


def test_a_problem_without_a_line_is_one_sentence() -> None:
    error = SpaceError([Problem("f", 1, 1, "", "no such file"), Problem("f", 2, 1, "a", "wrong", "a: 1")])
    assert str(error).splitlines() == ["f:1:1: no such file", "f:2:1: a: wrong"]
    assert error.pictured().splitlines() == ["f:1:1: no such file", "f:2:1: a: wrong", "    a: 1", "    ^"]


def test_a_message_has_the_first_hundred_problems() -> None:
    error = SpaceError([Problem("f", line, 1, "", "wrong") for line in range(1, 1103)])
    assert len(error.problems) == 1102
    for said in (str(error), error.pictured()):
        assert said.splitlines()[99:] == ["f:100:1: wrong", "and 1,002 more problems"]


def broken(call: Callable[[], object]) -> str:
    try:
        call()
    except Exception as error:
        return what_broke(error)
    raise AssertionError


def test_what_broke_is_a_sentence_with_its_place() -> None:
    said = broken(lambda: np.zeros(3).reshape(2, 2))
    assert said.startswith("ValueError: cannot reshape array of size 3 into shape (2,2) (")
    assert f"{__file__}:" in said
    said = broken(lambda: Path("a" * 1000).stat())
    assert said.startswith("OSError: [Errno 36] File name too long: 'aaa")
    assert len(said) < 800
    assert "aaa' (" in said


def test_what_broke_says_something_whatever_it_is() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise KeyError

    assert what_broke(Mute()) == "Mute"
    assert cause_of(Mute()) == "exception"
    assert what_broke(ValueError("no traceback")) == "ValueError: no traceback"
    for text in ('File "weights.npz" is missing', "Hint: If you can, dance", "{{node x}} = Reshape[y]"):
        assert what_broke(ValueError(text)) in (f"ValueError: {text}", "ValueError: = Reshape[y]")


def test_the_history_of_a_graph_is_left_out() -> None:
    reshaped = tf.function(lambda count: tf.reshape(tf.zeros((count,)), (2, 2)))
    said = broken(lambda: reshaped(tf.constant(3)))
    assert said.startswith(
        "InvalidArgumentError: Input to reshape is a tensor with 3 values, but the requested shape has 4 ("
    )
    cube = tf.function(lambda side: tf.reduce_sum(tf.zeros((side, side, side)) + 1.0))
    said = broken(lambda: cube(tf.constant(40_000)))
    assert said.startswith(
        "ResourceExhaustedError: OOM when allocating tensor with shape[40000,40000,40000] and type float on "
    )
    assert "Hint" not in said


def test_what_cudnn_says_of_a_full_gpu_is_kept() -> None:
    text = """Graph execution error:

Detected at node model_1/stage1_depthwise/depthwise defined at (most recent call last):
  File "<string>", line 1, in <module>

  File "/usr/lib/python3.11/multiprocessing/forkserver.py", line 274, in main

No algorithm worked!  Error messages:
  Profiling failure on CUDNN engine eng1{}: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 16.00MiB. [tf]
\t [[{{node model_1/stage1_depthwise/depthwise}}]] [Op:__inference__train_step_767]"""

    def fail() -> None:
        raise tf.errors.NotFoundError(None, None, text)

    assert broken(fail).startswith(
        "NotFoundError: No algorithm worked!  Error messages: Profiling failure on CUDNN engine eng1{}: "
        "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 16.00MiB. [tf] ("
    )
