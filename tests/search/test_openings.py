"""Openings of the test set outlast the models that they were for."""

import shutil

import pytest
from searches import Searched

from archsearch.search.openings import openings_of
from archsearch.study import Study

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("study")]


def test_a_model_that_is_deleted_has_been_tested_all_the_same(searched: Searched, a_copy: Study) -> None:
    (first,) = searched.study.collect().openings
    shutil.rmtree(a_copy.folder.best)
    assert a_copy.collect().openings == (first,)
    again = a_copy.retrain()
    assert again is not None
    assert a_copy.collect().openings == (first, again.test)


def test_other_attributes_of_a_study_are_no_openings() -> None:
    assert openings_of({"plan": {}, "session:1": [0.0, 1.0]}) == []
