import json
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

pytest.importorskip("starlette")
uvicorn = pytest.importorskip("uvicorn")
client = pytest.importorskip("websockets.sync.client")
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402

from dreamgym.play.server import AHEAD, MOST_MESSAGES, make_app, serve  # noqa: E402


@contextmanager
def serving(app):
    config = uvicorn.Config(app, port=0, log_level="error", ws_max_queue=64)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def port(make_session):
    with serving(make_app(make_session, title="toy")) as port:
        yield port


def join(port, **kwargs):
    return client.connect(f"ws://127.0.0.1:{port}/play", proxy=None, **kwargs)


def words(socket):
    """The next message in words; frames are left out."""
    while True:
        message = socket.recv(10)
        if isinstance(message, str):
            return json.loads(message)


def frame(socket):
    """The head of the next frame, which is told to be shown."""
    while True:
        data = socket.recv(10)
        if isinstance(data, bytes):
            head = json.loads(data[4 : 4 + int.from_bytes(data[:4], "big")])
            socket.send(json.dumps({"kind": "shown", "frame": head["frame"]}))
            return head


def status(port, path="/", host=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host} if host else {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return opener.open(request, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_page_and_its_parts_are_served(port):
    assert [status(port, p) for p in ("/", "/page/play.js", "/page/play.css", "/page/../server.py")][:3] == [200] * 3
    assert status(port, "/page/../server.py") == 404
    assert status(port, host="evil.example") == 400  # a name that somebody pointed at this machine


def test_a_player_drives_pauses_marks_and_returns(port):
    with join(port) as socket:
        assert words(socket) == {"title": "toy"}
        hello = words(socket)["hello"]
        assert hello["twin"] is True
        assert len(hello["low"]) == len(hello["axes"])
        socket.send(json.dumps({"kind": "action", "value": [1.0] * len(hello["low"])}))
        heads = [frame(socket) for _ in range(4)]
        assert [h["elapsed"] for h in heads] == sorted(h["elapsed"] for h in heads)
        socket.send(json.dumps({"kind": "mark"}))
        while not frame(socket)["marked"]:
            pass
        socket.send(json.dumps({"kind": "reset", "task": hello["tasks"][-1]}))
        while (head := frame(socket))["elapsed"] > 1:
            pass
        assert head["task"] == hello["tasks"][-1]


def test_what_is_wrong_is_told_and_the_dream_goes_on(port):
    with join(port) as socket:
        words(socket), words(socket)
        for text, told in (
            ("{", "JSON"),
            ('{"kind": "reset", "task": "fly"}', "unknown task 'fly'"),
            ('{"kind": "action", "value": [1]}', "3 finite numbers"),
            ('{"kind": "return"}', "mark one first"),
            ('{"kind": "keep"}', "--record"),
        ):
            socket.send(text)
            while "error" not in (message := socket_words(socket)):
                pass
            assert told in message["error"]
        assert frame(socket)["frame"] > 0


def socket_words(socket):
    """The next message in words; frames are shown meanwhile."""
    while True:
        message = socket.recv(10)
        if isinstance(message, str):
            return json.loads(message)
        number = json.loads(message[4 : 4 + int.from_bytes(message[:4], "big")])["frame"]
        socket.send(json.dumps({"kind": "shown", "frame": number}))


def test_a_page_of_somebody_else_cannot_drive(port):
    with pytest.raises(InvalidStatus), join(port, origin="http://evil.example"):
        pass
    with join(port, origin=f"http://127.0.0.1:{port}") as socket:
        assert words(socket) == {"title": "toy"}


def test_further_players_are_told_and_a_closed_tab_makes_room(make_session):
    with serving(make_app(make_session, players=1)) as port:
        with join(port) as first:
            words(first)
            with join(port) as second:
                assert "1 can play here at once" in words(second)["error"]
                with pytest.raises(ConnectionClosed):
                    second.recv(10)
            assert frame(first)["frame"] >= 1
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with join(port) as third:
                if "title" in words(third):
                    return
            time.sleep(0.1)
        raise AssertionError("the place of a player who left was not given to another")


def test_two_players_have_dreams_of_their_own(port):
    with join(port) as one, join(port) as two:
        for socket in (one, two):
            words(socket), words(socket)
        one.send(json.dumps({"kind": "pause", "on": True}))
        for _ in range(5):
            last = frame(two)
        assert last["frame"] >= 5


def test_a_slow_browser_gets_no_more_than_it_shows(port):
    with join(port) as socket:
        words(socket), words(socket)
        time.sleep(1.0)
        numbers = []
        while True:
            try:
                data = socket.recv(0.5)
            except TimeoutError:
                break
            numbers.append(data)
        assert len(numbers) == AHEAD


def test_bytes_are_told_to_be_no_message(port):
    with join(port) as socket:
        words(socket), words(socket)
        socket.send(b"\x00\xff")
        answer = next(m for m in iter(lambda: socket.recv(10), None) if isinstance(m, str) and "error" in m)
        assert "a message is text, got bytes" in answer


def test_a_flood_ends_the_connection(port):
    with join(port) as socket:
        words(socket)
        with pytest.raises(ConnectionClosed) as closed:
            for _ in range(20 * MOST_MESSAGES):
                socket.send('{"kind": "mark"}')
            while True:
                socket.recv(10)
        assert closed.value.rcvd.code == 1008


def test_the_place_of_one_who_floods_while_the_dream_waits_for_him_is_given_back(make_session):
    with serving(make_app(make_session, players=1)) as port:
        with join(port) as socket:
            words(socket), words(socket)
            time.sleep(0.5)  # he shows nothing: the clock waits for a word of his
            with pytest.raises(ConnectionClosed):
                for _ in range(20 * MOST_MESSAGES):
                    socket.send('{"kind": "action", "value": [0.0]}')
                while True:
                    socket.recv(10)
        time.sleep(1)
        with join(port) as other:
            assert "title" in words(other)


def test_a_dream_that_fails_is_told_and_leaves_the_server_up():
    def broken():
        raise RuntimeError("no weights")

    with serving(make_app(broken)) as port:
        for _ in range(2):
            with join(port) as socket:
                assert "title" in words(socket)
                assert "no weights" in words(socket)["error"]


def test_a_taken_port_names_the_option(port):
    with pytest.raises(OSError, match=f"port {port} .*--port"):
        serve(None, port)


def test_nobody_is_nobody():
    with pytest.raises(ValueError, match="players must be at least 1"):
        make_app(lambda: None, players=0)
