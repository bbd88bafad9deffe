"""Downloads from the Hugging Face hub by its own client, checked against the hub's checksums.

huggingface_hub reads `HF_ENDPOINT` (a mirror), `HF_TOKEN` and the proxies (`HTTPS_PROXY`).
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from distillery import files, paths, progress
from distillery.errors import UserError, reason


def fetch(
    repository: str,
    revision: str,
    patterns: Sequence[str],
    folder: Path,
    *,
    kind: str = "model",
    needed: str | None = None,
) -> None:
    """Puts the files of a repository that match `patterns` into `folder`.

    kind: model or dataset. needed: a file without which the others are useless. Complete files in
    `folder.partial`, which an interrupted download leaves, are kept. Raises UserError where the
    hub cannot be reached, lacks the files, or a checksum differs.
    """
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        raise UserError(f"{repository} is not in {folder} and HF_HUB_OFFLINE=1 forbids to fetch it")
    import huggingface_hub

    partial = folder.with_name(folder.name + ".partial")
    hub = huggingface_hub.HfApi()
    about: Any
    with _explained(repository):
        about = hub.repo_info(repository, repo_type=kind, revision=revision, files_metadata=True)
    sizes = {
        file.rfilename: file.size or 0
        for file in about.siblings or ()
        if any(fnmatch(file.rfilename, pattern) for pattern in patterns)
    }
    if not sizes or (needed and needed not in sizes):
        raise UserError(f"{repository} has no {needed or ' or '.join(patterns)}")
    partial.mkdir(parents=True, exist_ok=True)
    size, free = sum(sizes.values()), shutil.disk_usage(partial).free
    if size - files.size(partial) > free:
        raise UserError(
            f"{partial} has room for {files.megabytes(free)}, {files.megabytes(size)} are needed"
        )
    logging.info("%s: %s from the hub, revision %s", repository, files.megabytes(size), about.sha)
    where: dict[str, Any] = {"repo_type": kind, "revision": about.sha, "local_dir": partial}
    bar: Any = progress.bar  # typed as a class, used as a function
    with _explained(repository):
        for name in sizes:
            huggingface_hub.hf_hub_download(repository, name, **where, tqdm_class=bar)
        mismatches = hub.verify_repo_checksums(repository, **where).mismatches
    for wrong in mismatches:
        (partial / wrong["path"]).unlink()
        raise UserError(
            f"{wrong['path']} of {repository} came with another checksum: fetch it again"
        )
    shutil.rmtree(partial / ".cache")  # the client's own
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


@contextlib.contextmanager
def _explained(repository: str) -> Iterator[None]:
    """Turns whatever the network, a proxy or the hub raises into one line for the user."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno:  # of a full disk, not of the hub
            raise
        fetch = paths.script_or("./download_requirements.sh", "fetch")
        raise UserError(
            f"cannot fetch {repository} from the hub: {reason(error)}"
            f" (without a network: {fetch} with --source PATH)"
        ) from None
