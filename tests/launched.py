"""Scripts on two processes that talk by gloo, started by torchrun as people start them."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def two_processes(script: Path, *arguments: object) -> "subprocess.Popen[str]":
    """A running torchrun of two processes; its errors are a pipe."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [*launcher, str(script), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, text=True, stderr=subprocess.PIPE)
