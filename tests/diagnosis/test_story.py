"""A story that goes on says the same as one that is told anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chainrule.diagnosis import Story
from chainrule.diagnosis.story import WINDOW

ROW = st.dictionaries(st.sampled_from(["loss", "val_loss"]), st.floats(0, 9) | st.none())


@given(
    rows=st.lists(ROW, max_size=WINDOW // 4), repeats=st.integers(1, 8), every=st.integers(1, 40)
)
def test_columns_that_grow_are_those_of_all_rows(rows, repeats, every):
    told, growing = rows * repeats, []
    story, known = Story(growing), 0
    for name in ("loss", "val_loss"):
        assert story.column(name) == []
        assert story.course(name) is None
    for i, row in enumerate(told):
        growing.append(row)
        if i % every == 0 or i == len(told) - 1:
            story.grow(known)
            known = len(growing)
    fresh = Story(told)
    for name in ("loss", "val_loss"):
        known = [(r[name], i) for i, r in enumerate(told) if type(r.get(name)) is float]
        course = story.course(name)
        assert course == fresh.course(name)
        if known:
            assert (course.first, (course.best, course.at)) == (known[0][0], min(known))
        else:
            assert course is None
    for name in ("loss", "val_loss"):
        assert repr(story.column(name)) == repr(fresh.column(name))  # nan is nan
