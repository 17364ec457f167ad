"""The script that puts faults into kvm_amd: one line of one function, or a refusal."""

from pathlib import Path

import pytest

from tests.kvm_amd.faults import Change, NotFoundError, changed, put

SOURCE = """\
static int first(struct one *a,
\t\t int b);

static int first(struct one *a,
\t\t int b)
{
\tif (a)
\t\tfree(a);
\treturn 0;
}

void second(void)
{
\tfree(a);
\tfree(a);
}
"""


def test_a_line_of_a_function_is_changed_and_nothing_else() -> None:
    after = changed(SOURCE, Change("file.c", "first", "free(a);", "keep(a);"))
    assert after == SOURCE.replace("\t\tfree(a);", "\t\tkeep(a);")


def test_a_line_that_goes_leaves_a_statement_for_the_if_in_front() -> None:
    after = changed(SOURCE, Change("file.c", "first", "free(a);"))
    assert after == SOURCE.replace("\t\tfree(a);", "\t\t;")


@pytest.mark.parametrize(
    ("function", "line", "why"),
    [
        ("third", "free(a);", "file.c has no third"),
        ("first", "free(b);", "with one line 'free(b);', but with 0"),
        ("second", "free(a);", "with one line 'free(a);', but with 2"),
    ],
)
def test_a_place_that_is_not_there_is_refused(function: str, line: str, why: str) -> None:
    with pytest.raises(NotFoundError) as told:
        changed(SOURCE, Change("file.c", function, line))
    assert why in str(told.value)


def test_of_a_fault_of_two_places_none_is_put_where_one_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file.c").write_text(SOURCE)
    places = (Change("file.c", "first", "free(a);"), Change("file.c", "third", "free(a);"))
    with pytest.raises(NotFoundError):
        put(places, tmp_path)
    assert (tmp_path / "file.c").read_text() == SOURCE
