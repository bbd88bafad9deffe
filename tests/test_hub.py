"""Downloads from a hub: a small one on this machine, named as a mirror would be."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import ClassVar

import pytest
from huggingface_hub import close_session, constants

from distillery import hub
from distillery.errors import UserError

SHA = "a" * 40
WEIGHTS = bytes(range(256)) * 4096  # 1 MiB
FILES = {"config.json": b"{}", "model.safetensors": WEIGHTS, "pytorch_model.bin": b"a pickle"}


def _git(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Hub(BaseHTTPRequestHandler):
    """Answers as the hub does. `cut`: how many answers end half way; `changed`: the weights sent
    are not those published; `ranges`: what was asked for."""

    cut: ClassVar[int] = 0
    changed: ClassVar[bool] = False
    ranges: ClassVar[list[str | None]] = []

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def do_GET(self) -> None:
        if "nosuch" in self.path:
            self._answer(404, {"X-Error-Code": "RepoNotFound"}, b"")
            return
        if "/tree/" in self.path:
            tree = []
            for name, content in FILES.items():
                about = {"type": "file", "path": name, "size": len(content), "oid": _git(content)}
                if len(content) > 1000:
                    sha = hashlib.sha256(content).hexdigest()
                    about["lfs"] = {"oid": sha, "size": len(content), "pointerSize": 130}
                tree.append(about)
            self._answer(200, {"Content-Type": "application/json"}, json.dumps(tree).encode())
            return
        if "/api/" in self.path:
            siblings = []
            for name, content in FILES.items():
                about = {"rfilename": name, "size": len(content), "blobId": _git(content)}
                if len(content) > 1000:
                    sha = hashlib.sha256(content).hexdigest()
                    about["lfs"] = {"sha256": sha, "size": len(content), "pointerSize": 130}
                siblings.append(about)
            about = {"id": "acme/small", "sha": SHA, "siblings": siblings}
            self._answer(200, {"Content-Type": "application/json"}, json.dumps(about).encode())
            return
        name = self.path.split("/")[-1]
        content = FILES[name]
        etag = _git(content) if len(content) < 1000 else hashlib.sha256(content).hexdigest()
        if _Hub.changed and content is WEIGHTS:
            content = content[::-1]
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": SHA, "Accept-Ranges": "bytes"}
        asked = self.headers.get("Range")
        if self.command == "GET" and content is WEIGHTS:
            _Hub.ranges.append(asked)
        if asked:
            start = int(asked.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._answer(206, headers, content[start:])
        elif self.command == "GET" and content is WEIGHTS and _Hub.cut:
            _Hub.cut -= 1
            half = {"Content-Length": str(len(content)), **headers}
            self._answer(200, half, content[: len(content) // 2])
            self.close_connection = True
        else:
            self._answer(200, headers, content)

    do_HEAD = do_GET  # noqa: N815


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the hub, which this process takes for HF_ENDPOINT's."""
    _Hub.cut, _Hub.changed = 0, False
    _Hub.ranges.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    yield address
    server.shutdown()
    server.server_close()


def fetch(folder: Path, needed: str | None = None) -> None:
    hub.fetch("acme/small", "main", ["*.json", "*.safetensors"], folder, needed=needed)


def test_what_was_asked_for_comes_and_nothing_else(tmp_path: Path, mirror: str) -> None:
    fetch(tmp_path / "small")
    found = {path.name: path.read_bytes() for path in (tmp_path / "small").iterdir()}
    assert found == {"config.json": b"{}", "model.safetensors": WEIGHTS}
    assert not (tmp_path / "small.partial").exists()


def test_a_cut_download_resumes(
    tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)
    _Hub.cut = 1
    fetch(tmp_path / "small")
    first, second = _Hub.ranges
    assert first is None
    assert 0 < int(str(second).removeprefix("bytes=").removesuffix("-")) <= len(WEIGHTS) // 2
    assert (tmp_path / "small/model.safetensors").read_bytes() == WEIGHTS


def test_complete_files_of_an_interrupted_download_are_kept(
    tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("huggingface_hub.HfApi.verify_repo_checksums", interrupted)
        fetch(tmp_path / "small")
    assert not (tmp_path / "small").exists()
    fetch(tmp_path / "small")
    assert len(_Hub.ranges) == 1, "the weights came once"
    assert (tmp_path / "small/model.safetensors").read_bytes() == WEIGHTS


def test_a_download_larger_than_the_disk_is_refused(
    tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(UserError, match=r"small\.partial has room for 1\.0 MB, 1\.0 MB are needed"):
        fetch(tmp_path / "small")
    assert not _Hub.ranges


def test_another_checksum_than_the_published_one_is_refused(tmp_path: Path, mirror: str) -> None:
    _Hub.changed = True
    with pytest.raises(UserError, match="model.safetensors of acme/small came with another check"):
        fetch(tmp_path / "small")
    assert not (tmp_path / "small").exists()
    _Hub.changed = False
    fetch(tmp_path / "small")


def test_a_repository_without_the_file_is_refused(tmp_path: Path, mirror: str) -> None:
    with pytest.raises(UserError, match="acme/small has no vocab.txt"):
        fetch(tmp_path / "small", needed="vocab.txt")
    assert not any(tmp_path.iterdir())


def test_offline_nothing_is_asked(
    tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE=1 forbids"):
        fetch(tmp_path / "small")
    assert not _Hub.ranges


def test_the_mirror_is_the_one_named(tmp_path: Path, mirror: str) -> None:
    program = "import sys; from huggingface_hub import HfApi; print(HfApi().endpoint)"
    environment = {**os.environ, "HF_ENDPOINT": mirror}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
    assert done.stdout.decode().strip() == mirror


def test_an_unknown_repository_is_named(tmp_path: Path, mirror: str) -> None:
    with pytest.raises(UserError, match="cannot fetch acme/nosuch from the hub: 404"):
        hub.fetch("acme/nosuch", "main", ["*"], tmp_path / "nosuch")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "no proxy", "socks5://127.0.0.1:9"])
def test_a_proxy_that_does_not_work_is_no_traceback(
    tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", proxy)
    close_session()  # it has read the proxies
    with pytest.raises(UserError, match="cannot fetch acme/small from the hub"):
        fetch(tmp_path / "small")
    close_session()
    assert not _Hub.ranges
