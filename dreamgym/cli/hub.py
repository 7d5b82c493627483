"""`dreamgym push` and `dreamgym pull`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PushOptions:
    """How it is published.

    Attributes:
        private: make a new repository a private one.
        revision: branch to push to; the main one where not given.
        licence: identifier of its licence as the Hub writes them ("mit", "cc-by-4.0"); the card's where not given.
    """

    private: bool = False
    revision: str | None = None
    licence: str | None = None


def push(checkpoint: str, address: str, options: PushOptions) -> None:
    """Puts a checkpoint on the Hugging Face Hub, its measured fidelity in the card's metadata.

    Args:
        checkpoint: checkpoint to publish: a shipped name or a folder.
        address: where it goes: ``hf://organisation/name``, made where it is not there. Log in first: ``hf auth login``,
            or HF_TOKEN.
    """
    from dreamgym.evaluation.making.publish import push

    where = _at(address, options.revision)
    print(push(checkpoint, where, private=options.private, licence=options.licence))
    print(f'gym.make("Dream-v0", checkpoint="{where}")')


@dataclass(frozen=True)
class PullOptions:
    """Where it goes.

    Attributes:
        out: folder to make; a checkpoint that is there is replaced.
        revision: branch, tag or commit; where not given the newest of the main branch.
    """

    out: Path
    revision: str | None = None


def pull(address: str, options: PullOptions) -> None:
    """Copies a checkpoint of the Hugging Face Hub into a folder; offline, what was downloaded before.

    Args:
        address: what to copy: ``hf://organisation/name``.
    """
    from dreamgym.evaluation.making.publish import pull

    print(pull(_at(address, options.revision), options.out))


def _at(address: str, revision: str | None) -> str:
    """The address with its revision.

    Raises:
        ValueError: it has another one already.
    """
    if revision is None:
        return address
    if "@" in address:
        raise ValueError(f"{address} names a revision already: leave --revision out")
    return f"{address}@{revision}"
