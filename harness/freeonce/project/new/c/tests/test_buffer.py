"""Each test has a pristine guest of its own."""


def test_the_buffer_goes_back(freeonce_audit):
    freeonce_audit.run("mine/buffer")
    assert freeonce_audit.clean
