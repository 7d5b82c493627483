"""Objects that live in worker processes of a Ray cluster, and what to do when such a process dies."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

ERRORS: dict[str, type[Exception]] = {
    "ImportError": ImportError,
    "ValueError": ValueError,
    "FileNotFoundError": FileNotFoundError,
    "error": RuntimeError,
}
"""Kinds of answers that are errors: those of the caller are what they would be in this process."""

ENGINES = ("local", "ray")
"""Where workers are: processes of this machine, or of a Ray cluster."""


class Died(RuntimeError):
    """An actor's process is gone: killed, out of memory, or its machine is lost."""


def _reach(address: str) -> None:
    """OSError where nobody listens at HOST:PORT, which Ray itself would try for minutes; other forms are Ray's."""
    host, sign, port = address.rpartition(":")
    if sign and port.isdigit() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


class Actors:
    """Makes actors on a cluster and calls them.

    Args:
        cpus: how many the actors need together.
        address: of the cluster ("auto", "HOST:6379"); None: the one that this process is connected to, or else one that
            Ray starts on this machine.

    Raises:
        ImportError: Ray is not installed; the message is the pip line.
        ValueError: no cluster there, or it has too few CPUs: actors would wait for ever.
    """

    def __init__(self, cpus: float, address: str | None = None) -> None:
        try:
            import ray
        except ImportError as error:
            raise ImportError('the engine "ray" needs Ray: pip install "dreamgym[ray]"') from error
        self._ray = ray
        if not ray.is_initialized():
            self._connect(cpus, address)
        has = ray.cluster_resources().get("CPU", 0.0)
        if has < cpus:
            raise ValueError(
                f"the Ray cluster has {has:g} CPUs and {cpus:g} workers were asked for: ask for fewer "
                "(--num-workers), or let more machines join it"
            )

    def _connect(self, cpus: float, address: str | None) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
        if address is None:
            own = max(int(-(-cpus // 1)), os.cpu_count() or 1)
            self._ray.init(num_cpus=own, include_dashboard=False, **quiet)
            return
        try:
            _reach(address)
            self._ray.init(address=address, **quiet)
        except (OSError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"no Ray cluster at {address!r} ({str(error).splitlines()[0]}): start one with 'ray start --head', or "
                "leave the address away for one on this machine"
            ) from error

    def make(self, make: Callable[..., Any], *args: Any, cpus: float = 1.0) -> Any:
        """An actor that holds what ``make(*args)`` gives. Errors of making it are answers of its calls."""
        return self._ray.remote(_Held).options(num_cpus=cpus, scheduling_strategy="SPREAD").remote(make, args)

    def call(self, actor: Any, method: str, *args: Any) -> Any:
        """Begins a call; `get` gives its result."""
        return actor.call.remote(method, args)

    def wait(self, calls: Sequence[Any], timeout_s: float) -> list[Any]:
        """Those of the calls that are over, once one is."""
        ready, _ = self._ray.wait(list(calls), num_returns=1, timeout=timeout_s)
        rest = [call for call in calls if call not in ready]
        return [*ready, *(self._ray.wait(rest, num_returns=len(rest), timeout=0)[0] if ready and rest else ())]

    def get(self, call: Any) -> tuple[str, Any]:
        """("result", value) of a call, or a key of `ERRORS` and the message.

        Raises:
            Died: the actor died before it answered.
        """
        try:
            answer: tuple[str, Any] = self._ray.get(call)
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.WorkerCrashedError) as error:
            first, *rest = str(error).strip().splitlines()
            raise Died(" ... ".join([first, *rest[-1:]])) from error
        return answer[0], _writable(answer[1])

    def end(self, actors: Sequence[Any]) -> None:
        """Ends actors, whatever they do."""
        for actor in actors:
            with contextlib.suppress(Exception):  # it may be gone, or the cluster
                self._ray.kill(actor)


class _Held:
    """What an actor is: it holds an object and answers calls of its methods."""

    def __init__(self, make: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.failed: tuple[str, str] | None = None
        try:
            self.held = make(*args)
        except Exception as error:  # whatever it is, the caller must hear of it
            kinds = [name for name, kind in ERRORS.items() if name != "error" and isinstance(error, kind)]
            told = str(error) if kinds else f"a worker could not begin: {type(error).__name__}: {error}"
            self.failed = (kinds[0] if kinds else "error", told)

    def call(self, method: str, args: tuple[Any, ...]) -> tuple[str, Any]:
        if self.failed is not None:
            return self.failed
        try:
            return "result", getattr(self.held, method)(*_writable(args))
        except Exception as error:
            return "error", f"a worker failed in {method}: {type(error).__name__}: {error}"


def _writable(value: Any) -> Any:
    """The same nested value with arrays that may be written to: Ray's are views of its store, which MuJoCo refuses."""
    if isinstance(value, np.ndarray):
        return value if value.flags.writeable else value.copy()
    if isinstance(value, dict):
        return {key: _writable(v) for key, v in value.items()}
    return type(value)(map(_writable, value)) if type(value) in (list, tuple) else value


def check_engine(engine: str, address: str | None) -> None:
    """Raises ValueError where ``engine`` is none of `ENGINES`, or an address is given of another engine than Ray."""
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {ENGINES}, got {engine!r}")
    if address is not None and engine != "ray":
        raise ValueError(f"address={address!r} is of a Ray cluster: give engine='ray' with it")
