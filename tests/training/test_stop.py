import os
import signal

import pytest

from dreamgym.training.stop import Stopped, stop_signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_noted_and_the_handlers_come_back(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    with stop_signals() as stop:
        assert stop.exit_code == 0
        os.kill(os.getpid(), number)
        assert stop.is_set()
    assert stop.exit_code == code
    assert Stopped("run: 3 updates done", stop).exit_code == code
    assert signal.getsignal(number) is before
