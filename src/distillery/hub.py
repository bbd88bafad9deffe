"""Downloads from the hub: gone on with after a stop, checked against the hub's own checksums.

huggingface_hub reads `HF_ENDPOINT` (a mirror), `HF_TOKEN` and the proxies (`HTTPS_PROXY`). Its own
download starts a file anew after a stop.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Sequence
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

    kind: model or dataset. needed: a file without which there is no use in the others. What a
    stopped download left in `folder.partial` is gone on with. Raises UserError where the hub
    cannot be reached, lacks the files, or a checksum differs.
    """
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        raise UserError(f"{repository} is not in {folder} and HF_HUB_OFFLINE=1 forbids to fetch it")
    import huggingface_hub

    place = folder.with_name(folder.name + ".partial")
    try:
        about: Any = huggingface_hub.HfApi().repo_info(
            repository, repo_type=kind, revision=revision, files_metadata=True
        )
        wanted = [
            file
            for file in about.siblings or ()
            if any(fnmatch(file.rfilename, pattern) for pattern in patterns)
        ]
        names = [file.rfilename for file in wanted]
        if not names or (needed and needed not in names):
            raise UserError(f"{repository} has no {needed or ' or '.join(patterns)}")
        place.mkdir(parents=True, exist_ok=True)
        size = sum(file.size or 0 for file in wanted)
        _check_room(size - files.size(place), place)
        logging.info(
            "%s: %s from the hub, revision %s", repository, files.megabytes(size), about.sha
        )
        for file in wanted:
            url = huggingface_hub.hf_hub_url(
                repository, file.rfilename, repo_type=kind, revision=about.sha
            )
            _download(url, place / file.rfilename, file.size)
    except UserError:
        raise
    except Exception as error:  # network, proxy, hub: the user needs the one line
        if isinstance(error, OSError) and error.errno:  # of a full disk, not of the hub
            raise
        fetch = paths.script_or("./download_requirements.sh", "fetch")
        raise UserError(
            f"cannot fetch {repository} from the hub: {reason(error)}"
            f" (without a network: {fetch} with --source PATH)"
        ) from None
    for file in wanted:
        _check(place / file.rfilename, file, repository)
    shutil.rmtree(folder, ignore_errors=True)
    place.replace(folder)


def _check_room(size: int, place: Path) -> None:
    free = shutil.disk_usage(place).free
    if size > free:
        raise UserError(
            f"{place} has room for {files.megabytes(free)} where {files.megabytes(size)} are needed"
        )


def _download(url: str, path: Path, size: int | None) -> None:
    """Fetches what `path` lacks of the `size` bytes behind `url`."""
    import huggingface_hub
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    path.parent.mkdir(parents=True, exist_ok=True)
    done = path.stat().st_size if size and path.is_file() else 0
    if size and done >= size:
        return
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    session: Any = huggingface_hub.get_session()
    with session.stream("GET", url, headers=headers, follow_redirects=True) as answer:
        answer.raise_for_status()
        done = done if answer.status_code == 206 else 0  # Partial Content
        with (
            path.open("ab" if done else "wb") as file,
            progress.bar(
                total=size, initial=done, desc=path.name, unit="B", unit_scale=True
            ) as bar,
        ):
            for chunk in answer.iter_bytes(1 << 16):
                file.write(chunk)
                bar.update(len(chunk))


def _check(path: Path, published: Any, repository: str) -> None:
    """Compares a file with what the hub says of it: the sha256 of a large one, the git object
    (a sha1 over its length and content) of a small one."""
    if published.lfs:
        whole = files.sha256(path) == published.lfs.sha256
    elif published.blob_id:
        content = path.read_bytes()
        header = f"blob {len(content)}\0".encode()
        git = hashlib.sha1(header + content, usedforsecurity=False)
        whole = git.hexdigest() == published.blob_id
    else:
        whole = True
    if not whole:
        path.unlink()
        raise UserError(f"{path.name} of {repository} came with another checksum: fetch it again")
