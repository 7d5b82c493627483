"""Scripts on two processes that talk by gloo, started by torchrun or accelerate as people start them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

LAUNCHERS = {
    "torchrun": ("torch.distributed.run", "--nproc-per-node=2", "--master-port={port}"),
    # Without a GPU too, "multi_gpu" is how it starts several processes on one machine.
    "accelerate": (
        "accelerate.commands.launch", "--multi_gpu", "--num_machines=1", "--num_processes=2",
        "--main_process_port={port}", "--mixed_precision=no", "--dynamo_backend=no",
    ),
}  # fmt: skip


def two_processes(script: Path, *arguments: object, launcher: str = "torchrun") -> "subprocess.Popen[str]":
    """Two processes of a script that a launcher keeps running; its errors are a pipe."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    started = [part.format(port=port) for part in LAUNCHERS[launcher]]
    command = [sys.executable, "-m", *started, str(script), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, text=True, stderr=subprocess.PIPE)
