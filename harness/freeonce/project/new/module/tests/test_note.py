"""The module is loaded, put through what is asked for, unloaded, and judged."""


def test_the_module_gives_back_what_it_took(freeonce_guest):
    with freeonce_guest.audit_module("module") as life:
        life.run("for n in 1 2 3; do echo note $n >/proc/note; done")
    assert life.clean
