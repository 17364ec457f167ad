"""Which workers are taken out of a campaign, and which tasks are given again."""

from freeonce.campaign.trust import TIMES, TRIES, Trust


def test_a_worker_is_out_once_after_so_many_refusals_for_one_reason() -> None:
    trust = Trust()
    told = [trust.refused("w", "no kvm") for _ in range(TIMES + 2)]
    assert told == [False] * (TIMES - 1) + [True] + [False] * 2


def test_what_it_did_meanwhile_clears_it() -> None:
    trust = Trust()
    for _ in range(5 * TIMES):
        assert not trust.refused("w", "no kvm")
        trust.did("w")


def test_other_workers_and_other_reasons_count_for_themselves() -> None:
    trust = Trust()
    for number in range(TIMES - 1):
        assert not trust.refused("w", "no kvm")
        assert not trust.refused("w", "no space")
        assert not trust.refused(f"other {number}", "no kvm")


def test_a_task_is_given_so_often_and_no_more() -> None:
    trust = Trust()
    assert [trust.again("t") for _ in range(TRIES)] == [True] * (TRIES - 1) + [False]
    assert trust.again("u")
