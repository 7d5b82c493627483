import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgym.play.messages import LONGEST, MessageError, packed, read
from dreamgym.play.session import Frame, Side


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is JSON"),
        ("[" * 3000, "is JSON"),
        ("[]", "whose kind is one of"),
        ('{"kind": "fly"}', "whose kind is one of"),
        ('{"kind": []}', "whose kind is one of"),
        ('{"kind": "reset", "task": 3}', "needs 'task', a str"),
        ('{"kind": "pause", "on": 1}', "needs 'on', a bool"),
        ('{"kind": "shown", "frame": true}', "needs 'frame', a int"),
        ('{"kind": "action", "value": [1, "2"]}', "finite numbers"),
        ('{"kind": "action", "value": [NaN]}', "finite numbers"),
        ('{"kind": "action", "value": [true]}', "finite numbers"),
        ('{"kind": "speed", "value": 1e9}', "0.05 to 4"),
        ('{"kind": "mark", "x": "' + "y" * LONGEST + '"}', "at most"),
    ],
)
def test_malformed_messages_say_what_was_expected(text, told):
    with pytest.raises(MessageError, match=told):
        read(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_is_read_or_refused(value):
    for message in (value, {"kind": "action", "value": value}, {"kind": "speed", "value": value}):
        with contextlib.suppress(MessageError):
            assert "kind" in read(json.dumps(message))


def test_a_frame_is_packed_so_that_a_browser_reads_it():
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    side = Side(picture, 0.25, float("inf"), False, None)
    data = packed(Frame(side, None, "reach", 4, 7, False, None), 9)
    length = int.from_bytes(data[:4], "big")
    head = json.loads(data[4 : 4 + length])
    assert head["frame"] == 9
    assert head["twin"] is None
    assert head["dream"]["shape"] == [2, 3]
    assert head["dream"]["uncertainty"] is None  # JSON has no infinity
    assert data[4 + length :] == picture.tobytes()
