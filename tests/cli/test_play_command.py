import pytest

from dreamgym.cli import main


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["play", "Real-PushT-v0"], "not the id of a dream"),
        (["play", "Dream-v0"], "needs a checkpoint"),
        (["play", "Dream-v0", "--checkpoint", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_played_is_told_in_a_line(words, told):
    with pytest.raises(SystemExit, match=told):
        main(words)
