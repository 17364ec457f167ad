"""Two stores held against each other."""

from freeonce.campaign.compare import Difference, differences
from freeonce.campaign.store import Kept

LEAK = {"rule": "leak", "family": "slab", "function": "init", "pointer": "0x10", "line": 7}


def kept(
    name: str, verdict: str, *findings: dict[str, object], number: int = 0, **task: object
) -> Kept:
    document = {"findings": list(findings)}
    return Kept("k", "audit", name, number, verdict, False, 0.1, 0.0, "w", task, document)


def test_equal_results_are_no_difference_wherever_the_memory_was() -> None:
    moved = LEAK | {"pointer": "0x20", "line": 9}
    before, after = kept("a", "faulty", LEAK), kept("a", "faulty", moved)
    assert list(differences([before], [after])) == []


def test_new_gone_and_changed_are_told() -> None:
    before = [kept("same", "clean"), kept("mended", "faulty", LEAK), kept("gone", "clean")]
    after = [kept("same", "clean"), kept("mended", "clean"), kept("new", "faulty", LEAK)]
    assert list(differences(before, after)) == [
        Difference("changed", "mended", 0, "faulty; leak slab init", "clean"),
        Difference("new", "new", 0, "", "faulty; leak slab init"),
        Difference("gone", "gone", 0, "clean", ""),
    ]


def test_repetitions_are_apart_and_of_one_the_last_result_counts() -> None:
    before = [kept("a", "clean", number=0), kept("a", "faulty", number=1)]
    after = [*before, kept("a", "clean", number=1)]
    assert [one.number for one in differences(before, after)] == [1]


def test_audits_of_one_module_with_other_words_are_apart() -> None:
    before = [kept("loop", "clean", params="a=1"), kept("loop", "clean", params="a=2")]
    after = [kept("loop", "clean", params="a=2"), kept("loop", "faulty", LEAK, params="a=1")]
    assert [one.after for one in differences(before, after)] == ["faulty; leak slab init"]


def test_another_image_is_the_same_task() -> None:
    before, after = kept("a", "clean", image="1"), kept("a", "faulty", LEAK, image="2")
    assert [one.what for one in differences([before], [after])] == ["changed"]
