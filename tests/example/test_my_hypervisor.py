"""Two tests to copy. The second fails on purpose, to show what a finding looks like."""

import pytest

from freeonce.testing.audited import Audit, AuditedGuest


def test_a_box_built_first_is_released_once(freeonce_guest: AuditedGuest) -> None:
    with freeonce_guest.audit() as audit:
        audit.run("box/built_then_moved")
    assert audit.clean


def test_the_articles_hypervisor_crashed_here(freeonce_audit: Audit) -> None:
    freeonce_audit.run("allocated_memory/first")
    assert freeonce_audit.clean


@pytest.mark.freeonce(needs="svm")
def test_a_vcpu_gives_everything_back(freeonce_audit: Audit) -> None:
    freeonce_audit.run("svm/vmrun_exits")
    assert freeonce_audit.clean


@pytest.mark.freeonce(needs="nrip_save", accel="kvm")
def test_what_only_a_real_cpu_can_show(freeonce_audit: Audit) -> None:
    freeonce_audit.run("svm/vmrun_exits")
    assert freeonce_audit.clean
