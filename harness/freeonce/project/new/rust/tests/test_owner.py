"""Each test has a pristine guest of its own."""


def test_the_owner_gives_everything_back(freeonce_guest):
    with freeonce_guest.audit() as audit:
        audit.run("mine/owner")
    assert audit.clean
