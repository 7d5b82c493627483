import pytest

from dreamgym.cli import main


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["play", "Real-PushT-v0"], "not the id of a dream"),
        (["play", "Dream-v0"], "needs a checkpoint"),
        (["play", "Dream-v0"], "--checkpoint"),
        (["play", "Dream-v0", "--checkpoint", "nowhere"], "nowhere"),
        (["play", "Dream-PushT-v0", "--no-twin", "--horizon", "0"], "--horizon must be at least 1, got 0"),
        (
            ["play", "Dream-PushT-v0", "--no-twin", "--port", "99999"],
            "--port must be at least 0 and at most 65535, got 99999",
        ),
    ],
)
def test_what_cannot_be_played_is_told_in_a_line(words, told):
    with pytest.raises(SystemExit, match=told):
        main(words)
