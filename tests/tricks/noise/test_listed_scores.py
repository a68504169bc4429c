from __future__ import annotations

import numpy as np
import pytest

from harness.errors import PluginError
from harness.tricks.noise.listed_scores import ListedScores, scores_of


@pytest.fixture
def table(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "scores.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.fixture
def samples(make_samples):
    made = make_samples(np.array([0, 0, 0, 0, 1]))
    return made.assign(files=np.array(["a.jpg", "b.jpg", "c,d.jpg", "é.jpg", "e.jpg"]))


SCORES = (
    'score,path,why\n0.5,a.jpg,x\n0.9,b.jpg,\n-1,"c,d.jpg",\n3e-1,é.jpg,\n7,e.jpg,\n1,other.jpg,\n'
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_scores_are_found_by_path(table, samples, encoding):
    found = scores_of(samples, table(SCORES, encoding))
    np.testing.assert_allclose(found, [0.5, 0.9, -1, 0.3, 7], rtol=1e-6)


def test_the_best_of_each_class_are_selected_or_weigh_more(table, samples):
    file = table(SCORES)
    assert ListedScores(file=file, share=0.5)(samples).subset.tolist() == [0, 0, -1, -1, 0]
    weighed = ListedScores(file=file, use="weigh", floor=0.2)(samples)
    np.testing.assert_allclose(weighed.weight, [1.2, 1.6, 0.4, 0.8, 1.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,score\na,1\n", "needs the columns path and score; its first line is 'name,score'"),
        ("", "its first line is ''"),
        (
            "path,score\na.jpg,much\n",
            "line 2 needs a path and a finite score, not 'a.jpg' and 'much'",
        ),
        ("path,score\na.jpg,nan\n", "a finite score, not 'a.jpg' and 'nan'"),
        ("path,score\na.jpg\n", "not 'a.jpg' and None"),
        ("path,score\na.jpg,1\na.jpg,2\n", "line 3 gives 'a.jpg' another score"),
        ("path,score\na.jpg,1\n", "no score for 4 of 5 samples, as 'b.jpg'; add them"),
    ],
)
def test_a_wrong_table_is_one_line(table, samples, text, said):
    with pytest.raises(PluginError) as raised:
        ListedScores(file=table(text))(samples)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_one_line(tmp_path, samples):
    with pytest.raises(
        PluginError, match=r"not a table of scores that can be read: .*No such file"
    ):
        ListedScores(file=tmp_path / "none.csv")(samples)
