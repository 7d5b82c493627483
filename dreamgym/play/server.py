"""The page and its socket, on this machine alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.play.messages import LONGEST, MessageError, packed, read
from dreamgym.play.session import Frame, Session

try:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import Request
    from starlette.responses import FileResponse
    from starlette.routing import Mount, Route, WebSocketRoute
    from starlette.staticfiles import StaticFiles
    from starlette.websockets import WebSocket, WebSocketDisconnect
except ImportError as error:
    raise ImportError(f'play needs a web server ({error}): pip install "dreamgym[play]"') from error

HOSTS = ["127.0.0.1", "localhost"]
AHEAD = 2
"""Frames that a browser has not shown yet, at most: a slow one slows its own dream."""
MOST_MESSAGES = 400
"""A second, of one player: more than any hand and screen give. Whoever sends more is sent away."""
PAGE = Path(__file__).parent / "page"

_log = logging.getLogger(__name__)


class Player:
    """One socket and the session that it drives. The session lives in a thread of its own.

    Args:
        socket: accepted already.
        make_session: makes the session, in that thread.
        seed: of the first episode; each reset takes the next.
    """

    def __init__(self, socket: WebSocket, make_session: Callable[[], Session], seed: int) -> None:
        self.socket, self._make, self._seed = socket, make_session, seed
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="play")
        self._wants: list[dict[str, Any]] = []  # resets and the like, in order; at most a second's messages
        self._action: np.ndarray | None = None
        self._paused, self._speed = False, 1.0
        self._sent, self._shown = 0, 0
        self._stir = asyncio.Event()

    async def play(self) -> None:
        """Serves the player until he leaves."""
        session: Session | None = None
        try:
            session = await self._do(self._make)
            await self.socket.send_json({"hello": _about(session)})
            listening = asyncio.create_task(self._listen())
            showing = asyncio.create_task(self._show(session))
            done, rest = await asyncio.wait({listening, showing}, return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, *done, return_exceptions=True)
            if listening not in done:  # else the socket is closed, and what was being sent met that
                showing.result()
        except WebSocketDisconnect:
            pass  # a closed tab is how one leaves
        finally:
            if session is not None:
                await self._do(session.close)
            self._thread.shutdown(wait=False)

    async def _do(self, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)

    async def _listen(self) -> None:
        second, count = int(time.monotonic()), 0
        while True:
            message = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            now = int(time.monotonic())
            second, count = (second, count + 1) if now == second else (now, 1)
            if count > MOST_MESSAGES:
                await self.socket.close(1008, f"more than {MOST_MESSAGES} messages in a second")
                return
            try:
                if text is None:
                    raise MessageError("a message is text, got bytes")
                self._take(read(text))
            except MessageError as wrong:
                await self._tell(str(wrong))
            self._stir.set()

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["kind"]
        if kind == "action":
            self._action = np.asarray(message["value"], np.float32)  # the latest counts
        elif kind == "pause":
            self._paused = message["on"]
        elif kind == "speed":
            self._speed = message["value"]
        elif kind == "shown":
            self._shown = max(self._shown, min(message["frame"], self._sent))
        elif len(self._wants) < MOST_MESSAGES:
            self._wants.append(message)

    async def _show(self, session: Session) -> None:
        await self._send(await self._do(self._reset, session, session.first_task))
        due = time.monotonic()
        while True:
            while self._wants:
                await self._serve(session, self._wants.pop(0))
            waiting = self._paused or session.over or self._sent - self._shown >= AHEAD
            if waiting:
                self._stir.clear()
                with contextlib.suppress(TimeoutError):  # Python 3.11's wait_for swallows a cancel that meets the event
                    async with asyncio.timeout(0.5):
                        await self._stir.wait()
                due = time.monotonic()
                continue
            action = np.asarray(session.action.hold, np.float32) if self._action is None else self._action
            try:
                await self._send(await self._do(session.step, action))
            except ValueError as wrong:
                self._action = None
                await self._tell(str(wrong))
            due = max(due + 1 / (session.frame_rate * self._speed), time.monotonic() - 0.1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _serve(self, session: Session, message: dict[str, Any]) -> None:
        kind = message["kind"]
        calls: dict[str, Callable[[], Any]] = {
            "reset": lambda: self._reset(session, message["task"]),
            "mark": session.mark,
            "return": session.return_to_mark,
            "keep": session.keep,
        }
        try:
            await self._send(await self._do(calls[kind]))
        except (ValueError, OSError) as wrong:
            await self._tell(str(wrong))

    def _reset(self, session: Session, task: str) -> Frame:
        frame = session.reset(task, self._seed)
        self._seed += 1
        self._action = None
        return frame

    async def _send(self, frame: Frame) -> None:
        self._sent += 1
        await self.socket.send_bytes(packed(frame, self._sent))

    async def _tell(self, error: str) -> None:
        await self.socket.send_json({"error": error})


def _about(session: Session) -> dict[str, Any]:
    action = session.action
    return {
        "tasks": list(session.tasks),
        "twin": session.has_twin,
        "frame_rate": session.frame_rate,
        "uncertainty_limit": session.uncertainty_limit,
        "axes": list(session.axes),
        "pointer": session.pointer,
        "low": list(action.low),
        "high": list(action.high),
        "hold": list(action.hold),
        "binary": list(action.binary),
    }


def make_app(make_session: Callable[[], Session], *, title: str = "dreamgym", players: int = 2, seed: int = 0) -> Any:
    """The page as an ASGI application.

    It answers to names of this machine alone, and its socket to pages that it served itself: a page of somebody else's
    that is open in the same browser cannot drive it.

    Args:
        make_session: makes the dream of one player; called in the thread that it will live in.
        title: shown on the page.
        players: who may play at once, each in a dream of his own; further ones are told so and sent away.
        seed: of the first player's first episode.

    Raises:
        ValueError: fewer than one player.
        ImportError: the web server is not installed.
    """
    if players < 1:
        raise ValueError(f"players must be at least 1, got {players}")
    playing: set[Player] = set()

    async def index(request: Request) -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-store"})

    async def play(socket: WebSocket) -> None:
        origin, host = socket.headers.get("origin"), socket.headers.get("host")
        if origin is not None and origin != f"http://{host}":
            _log.warning("a page of %s was refused", origin)
            await socket.close(1008, "this socket answers to its own page alone")
            return
        await socket.accept()
        if len(playing) >= players:
            full = f"{players} can play here at once, and {len(playing)} do: close another tab, or --players"
            await socket.send_json({"error": full})
            await socket.close(1013, "full")
            return
        player = Player(socket, make_session, seed)
        playing.add(player)
        try:
            await socket.send_json({"title": title})
            await player.play()
        except Exception as error:  # one player's fault is not to end another's dream
            _log.exception("a player's dream failed")
            with contextlib.suppress(Exception):
                await socket.send_json({"error": f"the dream failed: {error}"})
                await socket.close(1011, "the dream failed")
        finally:
            playing.discard(player)

    return Starlette(
        routes=[
            Route("/", index),
            WebSocketRoute("/play", play),
            Mount("/page", StaticFiles(directory=PAGE)),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)],
    )


def serve(app: Any, port: int, on_start: Callable[[int], None] | None = None) -> None:
    """Serves on 127.0.0.1 until interrupted; ``on_start`` is told the port.

    Raises:
        OSError: the port is taken.
        ValueError: there is no such port.
        ImportError: the web server is not installed.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise ImportError(f'play needs a web server ({error}): pip install "dreamgym[play]"') from error
    import socket

    if not 0 <= port <= 65535:
        raise ValueError(f"a port is a number from 0 (a free one) to 65535, got {port}: choose another with --port")
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(("127.0.0.1", port))
    except OSError as error:
        taken.close()
        raise OSError(f"port {port} cannot be had ({error.strerror}): choose another with --port") from error
    if on_start is not None:
        on_start(taken.getsockname()[1])
    config = uvicorn.Config(app, log_level="warning", ws_max_size=16 * LONGEST, ws_max_queue=64, ws_ping_interval=20)
    uvicorn.Server(config).run(sockets=[taken])
