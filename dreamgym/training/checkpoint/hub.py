"""The Hugging Face Hub: what is downloaded from it, and its refusals in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

PREFIX = "hf://"
_PIP = 'pip install "dreamgym[hub]"'


def parse(address: str) -> tuple[str, str | None]:
    """("organisation/name", revision or None) of "hf://organisation/name@revision", with or without its prefix.

    Raises:
        ValueError: another form.
    """
    repository, sign, revision = address.removeprefix(PREFIX).partition("@")
    parts = repository.split("/")
    if len(parts) != 2 or not all(parts) or (sign and not revision):
        raise ValueError(f"{address!r}: expected hf://organisation/name, with @revision if need be")
    return repository, revision or None


def download(address: str, patterns: Sequence[str] | None = None) -> Path:
    """The local folder of a repository's snapshot, downloaded where it is not cached.

    Args:
        address: see `parse`.
        patterns: which files, as shell patterns; None: all.

    Raises:
        ImportError: huggingface_hub is not installed.
        ValueError: another form of address, no such repository or revision, no right to read it, no network.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ImportError(f"hf:// addresses need huggingface_hub: {_PIP}") from error
    repository, revision = parse(address)
    fetch: Callable[..., str] = snapshot_download
    try:
        return Path(fetch(repository, revision=revision, allow_patterns=patterns))
    except (OSError, ValueError) as error:  # the Hub's errors (not found, offline and not cached) are OSErrors
        raise ValueError(f"{address!r} could not be fetched: {why(error)}") from error


def why(error: Exception) -> str:
    """An error of the Hub in one line, with its mend."""
    from huggingface_hub import errors

    told = str(error).strip().splitlines()[0] if str(error).strip() else ""
    if isinstance(error, errors.RevisionNotFoundError):
        return "the repository has no such revision"
    if isinstance(error, errors.GatedRepoError):
        return "its owner lets only some read it: ask for access on its page, and log in (`hf auth login`)"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            "there is no such repository, or it is private: check the name, and log in (`hf auth login`, or HF_TOKEN)"
        )
    if isinstance(error, (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError)):
        return (
            "the Hub is offline (HF_HUB_OFFLINE=1) or cannot be reached, and this was not downloaded before: check the "
            "network"
        )
    if isinstance(error, errors.HfHubHTTPError) and error.response is not None:
        status = error.response.status_code
        mend = "log in with a token that may write (`hf auth login`, or HF_TOKEN)" if status in (401, 403) else told
        return f"the Hub answered {status}: {mend}"
    return f"{type(error).__name__}: {told}; check the name and the network"
