"""The Hugging Face Hub: what is downloaded from it, and its refusals in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

PREFIX = "hf://"


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


def check_installed() -> None:
    """Raises ImportError, with the pip line, where huggingface_hub is missing."""
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise ImportError('hf:// addresses need huggingface_hub: pip install "dreamgym[hub]"') from error


def download(address: str, patterns: Sequence[str] | None = None) -> Path:
    """The local folder of a repository's snapshot, downloaded where it is not cached.

    Args:
        address: see `parse`.
        patterns: which files, as shell patterns; None: all.

    Raises:
        ImportError: huggingface_hub is not installed.
        ValueError: another form of address, no such repository or revision, no right to read it, no network.
    """
    check_installed()
    from huggingface_hub import snapshot_download

    repository, revision = parse(address)
    fetch: Callable[..., str] = snapshot_download
    try:
        return Path(fetch(repository, revision=revision, allow_patterns=patterns))
    except _failures() as error:
        raise ValueError(f"{address!r} could not be fetched: {why(error)}") from error


def _failures() -> tuple[type[Exception], ...]:
    """What a call to the Hub raises: its own errors are OSErrors, but not all of its HTTP client (no connection)."""
    from huggingface_hub import errors

    client = [base for base in errors.HfHubHTTPError.__mro__ if base.__name__ == "HTTPError"]
    return (OSError, ValueError, *client)


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


def upload(folder: Path, address: str, *, private: bool = False, message: str = "", files: Sequence[str] = ()) -> str:
    """Puts files of a folder into a repository, as one commit; the repository and the branch are made where missing.

    Args:
        folder: local.
        address: see `parse`; the revision is a branch.
        private: make a new repository a private one; what is there keeps its visibility.
        message: of the commit.
        files: names of the files, in the folder's top level. Other safetensors files of the repository are deleted in
            the same commit.

    Returns:
        The commit's address.

    Raises:
        ImportError: huggingface_hub is not installed.
        ValueError: another form of address, no right to write, no network, a refused file.
    """
    check_installed()
    from huggingface_hub import HfApi

    repository, revision = parse(address)
    api = HfApi(library_name="dreamgym")
    try:
        api.create_repo(repository, private=private or None, exist_ok=True)
        if revision is not None:
            api.create_branch(repository, branch=revision, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository, folder_path=folder, revision=revision, commit_message=message,
            allow_patterns=list(files), delete_patterns="*.safetensors",
        )  # fmt: skip
    except _failures() as error:
        raise ValueError(f"{address!r} could not be written: {why(error)}") from error
    return str(done.commit_url)
