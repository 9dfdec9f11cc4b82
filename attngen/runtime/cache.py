"""A store of emitted sources and their metadata, addressed by content, shared by processes.

    <root>/sources/<sha256 of the text>.py
    <root>/entries/<sha256 of the identity>.json    identity, metadata, which source

An *identity* names everything that the text depends on: the caller's part (fingerprint, request) and
the versions and files of the generator. Files are written whole under another name and renamed, so
readers see all or nothing; there is no fsync, because every read checks the hash and a bad file is
the same as none. What a file holds is believed only if it also belongs to this user or to root.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import stat
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from attngen import __version__
from attngen.errors import RuntimeMissingError
from attngen.runtime.load import digest_of

VARIABLE = "ATTNGEN_CACHE_DIR"
FORMAT = "1"


@dataclass(frozen=True, slots=True)
class Stored:
    """A source in the store. ``path`` is None when it lives in memory only."""

    source: str
    digest: str
    path: Path | None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@cache
def generator_identity() -> Mapping[str, str]:
    """What, besides the caller's request, decides an emitted text: versions, and the state of our own files."""
    package = Path(__file__).resolve().parent.parent
    templates = next((p for p in (package / "templates", package.parent / "templates") if p.is_dir()), None)
    stamp = hashlib.sha256()
    for root in (package, *([templates] if templates else [])):
        for file in sorted(p for p in root.rglob("*") if p.suffix in {".py", ".toml", ".jinja", ".j2"}):
            facts = file.stat()
            stamp.update(f"{file.relative_to(root)} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return {
        "format": FORMAT,
        "attngen": __version__,
        "triton": _triton_version(),
        "generator": stamp.hexdigest()[:16],
    }


def _triton_version() -> str:
    try:
        return importlib.metadata.version("triton")
    except importlib.metadata.PackageNotFoundError:
        return "none"


def default_root() -> Path:
    """$ATTNGEN_CACHE_DIR, else the user's cache directory."""
    explicit = os.environ.get(VARIABLE)
    if explicit:
        return Path(explicit).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("attngen"))


def _trusted(owner: int) -> bool:
    return owner in (os.geteuid(), 0) if hasattr(os, "geteuid") else True


def danger(root: Path) -> str:
    """Why a directory or file must not be used, or nothing: what it holds is believed, so nobody else may write it."""
    facts = root.stat()
    if not _trusted(facts.st_uid):
        return f"it belongs to another user (uid {facts.st_uid})"
    if facts.st_mode & stat.S_IWOTH and not facts.st_mode & stat.S_ISVTX:
        return f"everybody may write there (mode {stat.S_IMODE(facts.st_mode):o})"
    return ""


def read_trusted(path: Path) -> bytes | None:
    """A regular file that belongs to this user or to root; None for all else, links included."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe is not waited for
    try:
        with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
            facts = os.fstat(file.fileno())
            return file.read() if stat.S_ISREG(facts.st_mode) and _trusted(facts.st_uid) else None
    except (OSError, ValueError):
        return None


def read_own(path: Path) -> str | None:
    """`read_trusted` as text; None for what is no UTF-8."""
    content = read_trusted(path)
    try:
        return None if content is None else content.decode()
    except UnicodeDecodeError:
        return None


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def write_whole(path: Path, content: bytes) -> None:
    """Under another name, then renamed: a reader sees all of it or what was there before."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


class Cache:
    """The store at ``root``. ``note`` says why nothing is kept on disk, when nothing is."""

    def __init__(self, root: Path | None = None) -> None:
        explicit = root is not None or bool(os.environ.get(VARIABLE))
        self.root = root or default_root()
        self.note = ""
        self._on_disk = True
        self._memory: dict[str, Stored] = {}
        self._lock = threading.Lock()
        try:
            for part in ("sources", "entries"):
                (self.root / part).mkdir(mode=0o700, parents=True, exist_ok=True)
            why = danger(self.root)
        except OSError as error:
            why, explicit = f"it cannot be made ({error.strerror})", False
        if why and explicit:
            raise RuntimeMissingError(
                f"the cache directory {self.root} is refused: {why}",
                place=VARIABLE,
                remedy=f"name a directory of your own: mkdir -m 700 DIR && export {VARIABLE}=DIR",
            )
        if why:
            self._forget_disk(why)

    def get(self, identity: Mapping[str, str]) -> Stored | None:
        """What was put under this identity; None when it is absent, damaged, or not ours."""
        name = self._name(identity)
        with self._lock:
            found = self._memory.get(name)
        if found is not None or not self._on_disk:
            return found
        entry = read_own(self.root / "entries" / f"{name}.json")
        try:
            record = json.loads(entry) if entry else {}
            body, digest = {key: record[key] for key in ("identity", "metadata", "source", "suffix")}, record["source"]
            if record["sha256"] != digest_of(_canonical(body)) or body["identity"] != self._full(identity):
                return None
            path = self.root / "sources" / f"{digest}{record['suffix']}"
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        source = read_own(path)
        if source is None or digest_of(source) != digest:
            return None
        return self._keep(name, Stored(source, digest, path, body["metadata"]))

    def put(
        self,
        identity: Mapping[str, str],
        source: str,
        metadata: Mapping[str, Any] | None = None,
        *,
        suffix: str = ".py",
    ) -> Stored:
        """Keep a source; damaged files of the same name are replaced. ``suffix``: of its language."""
        name, digest, facts = self._name(identity), digest_of(source), dict(metadata or {})
        path = self.root / "sources" / f"{digest}{suffix}"
        body = {"identity": self._full(identity), "metadata": facts, "source": digest, "suffix": suffix}
        record = _canonical({**body, "sha256": digest_of(_canonical(body))})
        if self._on_disk:
            try:
                if read_own(path) != source:
                    self._write(path, source)
                self._write(self.root / "entries" / f"{name}.json", record)
            except OSError as error:
                self._forget_disk(error.strerror or str(error))
        return self._keep(name, Stored(source, digest, path if self._on_disk else None, facts))

    def _forget_disk(self, why: str) -> None:
        self._on_disk = False
        self.note = f"sources are kept in memory only: {self.root}: {why}"

    def _keep(self, name: str, stored: Stored) -> Stored:
        with self._lock:
            self._memory[name] = stored
        return stored

    def _full(self, identity: Mapping[str, str]) -> dict[str, str]:
        return {**generator_identity(), **identity}

    def _name(self, identity: Mapping[str, str]) -> str:
        return digest_of(_canonical(self._full(identity)))

    def folder(self, name: str) -> Path | None:
        """A directory of the store for another kind of file; None when nothing is kept on disk."""
        if not self._on_disk:
            return None
        path = self.root / name
        try:
            path.mkdir(mode=0o700, exist_ok=True)
            why = danger(path) or ("" if os.access(path, os.W_OK) else "it cannot be written")
        except OSError as error:
            why = error.strerror or str(error)
        if why:
            self._forget_disk(why)
        return None if why else path

    @staticmethod
    def _write(path: Path, text: str) -> None:
        write_whole(path, text.encode())


@cache
def shared_cache(root: Path) -> Cache:
    """The store at ``root`` (that of `default_root`), one object a process."""
    return Cache(root if os.environ.get(VARIABLE) else None)
