"""Generations of a trainer's state: the last ones and the best, each complete or not there.

A generation is `000012.safetensors` (the tensors) and `000012.json` (everything else, and the
sha256 of the tensors).  The JSON file is renamed into place last: with it the generation exists.
What was cut, altered or left half is skipped when loading, and said.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ChainruleError, FormatError
from ..ops.core import is_number
from .files import (
    InputError,
    check_writable,
    file_sha256,
    load_tensors,
    names_in,
    read_json,
    remove_file,
    save_tensors,
    write_json,
)
from .packing import pack, unpack

FORMAT, VERSION = "chainrule-checkpoint", 1
KEEP = 3


class Loaded(NamedTuple):
    """A state that was read, its file, and (file, reason) of the newer ones that were skipped."""

    state: dict[str, Any]
    path: Path
    skipped: list[tuple[Path, str]]


class Checkpoints:
    """The generations in a folder: the last `keep` (3) and the best."""

    def __init__(self, folder: Path, keep: int = KEEP) -> None:
        self.folder = folder
        self.keep = keep
        self._scores: dict[str, float | None] = {}

    def manifests(self) -> list[Path]:
        """The generations there are, the newest first."""
        found = [self.folder / n for n in names_in(self.folder) if re.fullmatch(r"\d{6,}\.json", n)]
        return sorted(found, key=_number, reverse=True)

    def save(self, state: dict[str, Any], *, score: float | None = None) -> Path:
        """Writes a new generation, then removes those that are no longer kept.

        score: how good it is; the largest is the best.

        Raises OutputError where it can't be written; the generations before are as they were.
        """
        if not self.folder.is_dir():
            check_writable(self.folder)
        taken = [_number(p) for p in self._files()]
        stem = f"{max(taken, default=0) + 1:06d}"
        body, tensors = pack(state)
        weights = self.folder / f"{stem}.safetensors"
        manifest = self.folder / f"{stem}.json"
        try:
            save_tensors(weights, tensors)
            content = {
                "format": FORMAT, "version": VERSION, "epoch": state["epoch"],
                "step": state["step"], "score": score,
                "files": {weights.name: file_sha256(weights)}, "state": body,
            }  # fmt: skip
            write_json(manifest, {**content, "sha256": _digest(content)})
        except BaseException:
            for path in (manifest, weights):
                with suppress(OSError):
                    remove_file(path)
            raise
        self.prune()
        return manifest

    def prune(self, newest_only: bool = False) -> None:
        """Removes all but the last generations and the best; or but the newest.

        What can't be read or removed now is tried again with the next generation.
        """
        try:
            manifests, files = self.manifests(), self._files()
            scores = {p: score for p in manifests if (score := self._score(p)) is not None}
        except InputError:
            return
        best = max(scores, key=lambda p: scores[p]) if scores else None
        kept = {p.stem for p in manifests[: self.keep]} | ({best.stem} if best else set())
        if newest_only:
            kept = {p.stem for p in manifests[:1]}
        newest = max((_number(p) for p in manifests), default=0)
        for path in sorted(files, key=lambda p: p.suffix != ".json"):
            if path.stem not in kept and _number(path) <= newest:
                with suppress(OSError):
                    remove_file(path)

    def _files(self) -> list[Path]:
        """The files of all generations, whole or not."""
        return [p for n in names_in(self.folder) if (p := self.folder / n).stem.isdecimal()]

    def _score(self, manifest: Path) -> float | None:
        if manifest.name not in self._scores:
            try:
                self._scores[manifest.name] = _read_manifest(manifest)["score"]
            except FormatError:
                self._scores[manifest.name] = None
        return self._scores[manifest.name]

    def load(self) -> Loaded:
        """The newest generation that is whole; FormatError where none is."""
        skipped: list[tuple[Path, str]] = []
        for manifest in self.manifests():
            try:
                return Loaded(self.read(manifest), manifest, skipped)
            except (ChainruleError, OSError) as error:
                got = getattr(error, "got", None)
                reason = getattr(error, "problem", str(error))
                skipped.append((manifest, f"{reason} ({got})" if got else reason))
        raise FormatError(
            f"{self.folder}: no checkpoint that can be loaded",
            got="; ".join(f"{p.name}: {why}" for p, why in skipped) or "the folder holds none",
            fix="a copy of these files from before, or the same without resume, which begins anew"
            if skipped
            else "the same without resume: nothing was saved yet",
            line="",
        )

    def read(self, manifest: Path) -> dict[str, Any]:
        """One generation; FormatError where it is not exactly what was written."""
        content = _read_manifest(manifest)
        tensors: dict[str, Any] = {}
        for name, expected in content["files"].items():
            path = self.folder / Path(name).name
            tensors.update(load_tensors(path))
            if file_sha256(path) != expected:
                raise FormatError(f"{path.name} is another file than was written", line="")
        state = unpack(content["state"], tensors)
        if not isinstance(state, dict):  # {"$tensor": ...} is an object in the file, but no state
            raise FormatError(
                f"{manifest.name} is not a checkpoint", got=type(state).__name__, line=""
            )
        return state


def _read_manifest(path: Path) -> dict[str, Any]:
    content = read_json(path)
    try:
        digest = content.pop("sha256")
        known, version = content["format"] == FORMAT, content["version"]
    except (KeyError, TypeError, AttributeError):
        raise FormatError(f"{path.name} is not a checkpoint", line="") from None
    if known and isinstance(version, int) and version > VERSION:
        raise FormatError(
            f"{path.name} was written by a newer version of Chainrule",
            expected=f"format {VERSION} or before",
            got=f"format {version}",
            line="",
        )
    if not known or digest != _digest(content):
        raise FormatError(f"{path.name} was altered: its sha256 differs", line="")
    files, state, score = (content.get(key) for key in ("files", "state", "score"))
    if not (isinstance(files, dict) and isinstance(state, dict)) or not (
        score is None or is_number(score)
    ):
        raise FormatError(f"{path.name} is not a checkpoint", line="")
    return dict(content)


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _number(path: Path) -> int:
    return int(path.stem)
