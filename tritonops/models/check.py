"""The whole check: models.toml, the lock, the disk, and every config."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from tritonops.errors import (
    ConfigError,
    RepositoryError,
    SourceChangedError,
    TritonOpsError,
    UnknownModelError,
    near_misses,
)
from tritonops.models.catalog.catalog import Catalog
from tritonops.models.catalog.lockfile import differences, load_lock
from tritonops.models.configs.declared import declared_text
from tritonops.models.configs.pbtxt import parse_config, read_text
from tritonops.models.configs.variants import VARIANTS, Variant, source_path
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.models.disk.repository import Repository
from tritonops.models.rules.config import config_problems
from tritonops.models.rules.ensembles import ensemble_problems
from tritonops.models.rules.files import absent, files_problems, layout_problems
from tritonops.models.rules.finding import Finding, Problem, Subject
from tritonops.models.rules.graph import graph_problems
from tritonops.models.rules.hazards import HANGS, hazards
from tritonops.models.rules.judged_server import JudgedServer, count_gpus, server_of_image
from tritonops.models.rules.python import python_problems
from tritonops.models.rules.warmup import warmup_problems
from tritonops.models.sources.path_source import source_problems
from tritonops.project import Project

_CORE_RULES = (config_problems, ensemble_problems)
_LOADING_RULES = (files_problems, graph_problems, warmup_problems, python_problems)


@dataclass(frozen=True)
class Checked:
    """What is checked, and against what."""

    catalog: Catalog
    repository: Repository
    config_dir: Path
    lock_path: Path
    server: JudgedServer
    variants: tuple[Variant, ...] = VARIANTS

    @classmethod
    def of(
        cls, project: Project, *, server: JudgedServer | None = None, variants: Sequence[Variant] = VARIANTS
    ) -> Checked:
        """A project, judged for a server: by default TRITON_IMAGE on this machine."""
        settings = project.settings
        server = server or server_of_image(project.image, gpus=count_gpus())
        variants = tuple(variants)
        return cls(project.catalog, project.repository, settings.config_dir, settings.lock_path, server, variants)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every model of models.toml, and of the disk."""
        return tuple(dict.fromkeys((*self.catalog.names, *self.repository.names())))


def check(checked: Checked, *, include: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Check the models in `include`, or all of models.toml, of triton-config/ and of the disk.

    Raises UnknownModelError for a name that is nowhere.
    """
    for name in include:
        if name not in checked.names:
            raise UnknownModelError(name, checked.names, where=str(checked.catalog.path))
    models = {name: _Model(checked, name) for name in checked.names}
    others = {name: model.subjects[0] for name, model in models.items() if model.subjects}
    findings = [
        finding
        for name, model in models.items()
        if not include or name in include
        for finding in _merged(model.findings(others))
    ]
    sources = [finding for finding in _sources(checked) if not include or finding.model in include]
    return (*findings, *sources, *([] if include else _general(checked)))


def _problems(subject: Subject) -> Iterator[Problem]:
    """A config that Triton's core refuses is not compared with its graph: what follows from a mistake is no news."""
    core = [problem for rule in _CORE_RULES for problem in rule(subject)]
    yield from core
    if all(problem.severity == "warning" for problem in core):
        for rule in _LOADING_RULES:
            yield from rule(subject)


class _Model:
    """One model: its configs, each text once with the files that contain it, and its folder."""

    def __init__(self, checked: Checked, name: str) -> None:
        self._checked, self._name = checked, name
        self._home: Path | None = None
        self._early: list[Finding] = []
        self.subjects: list[Subject] = []
        self._files: list[tuple[Path, ...]] = []
        try:
            self._home = checked.repository.home(name)
        except RepositoryError as exc:
            self._early.append(
                _finding(name, (), Problem("two-places", str(exc), "Triton serves one of them", exc.hint or ""))
            )
        for text, files in self._texts().items():
            self._add(text, files)

    def findings(self, others: dict[str, Subject]) -> Iterator[Finding]:
        """Find what is wrong, with the other models at hand."""
        yield from self._early
        yield from self._missing_configs()
        yield from self._missing_files()
        yield from self._unknown_callees()
        for subject, files in zip(self.subjects, self._files, strict=True):
            for problem in _problems(replace(subject, others=others)):
                yield _finding(self._name, files, problem)
        if self._home:
            for problem in (*_hazard_problems(self._home), *layout_problems(self._home, self._versions)):
                yield _finding(self._name, (self._home,), problem)

    @property
    def _versions(self) -> tuple[int, ...]:
        return self._checked.repository.versions(self._name) if self._home else ()

    def _texts(self) -> dict[str, tuple[Path, ...]]:
        """Give every config of the model: of triton-config/ as it would be copied, and of the disk as it is."""
        checked, texts = self._checked, dict[str, tuple[Path, ...]]()
        sources = [source_path(checked.config_dir, self._name, variant) for variant in checked.variants]
        on_disk = [] if self._home is None else [self._home / "config.pbtxt"]
        for path in (path for path in (*on_disk, *sources) if path.is_file()):
            try:
                text = read_text(path)
            except ConfigError as exc:
                self._early.append(_syntax(self._name, (path,), exc))
                continue
            declared = text if path in on_disk else declared_text(checked.catalog, self._name, text)
            texts[declared] = (*texts.get(declared, ()), path)
        return texts

    def _add(self, text: str, files: tuple[Path, ...]) -> None:
        checked = self._checked
        try:
            config = parse_config(text, where=str(files[0]))
        except ConfigError as exc:
            self._early.append(_syntax(self._name, files, exc))
            return
        enabled = self._home is None or self._home.parent == checked.repository.root
        subject = Subject(self._name, config, self._home, self._versions, checked.server, enabled)
        self.subjects.append(subject)
        self._files.append(files)

    def _missing_configs(self) -> Iterator[Finding]:
        sources = [source_path(self._checked.config_dir, self._name, variant) for variant in self._checked.variants]
        on_disk = self._home is not None and (self._home / "config.pbtxt").exists()  # a folder is a hazard
        absent = [path for path in sources if not path.is_file()]
        if self._name not in self._checked.catalog.names:
            absent = [] if on_disk else [(self._home or Path(self._name)) / "config.pbtxt"]
        if absent:
            has_none = len(absent) == len(sources) and not on_disk
            yield _finding(
                self._name,
                tuple(absent),
                Problem(
                    "no-config",
                    "there is no config" if has_none else f"there is no {', '.join(path.name for path in absent)}",
                    "the embedded Triton refuses a model without one; others guess the batch and the instances",
                    f"write it, or let `inv models.generate-config {self._name}` do it",
                    "error" if has_none or self._name not in self._checked.catalog.names else "warning",
                ),
            )

    def _missing_files(self) -> Iterator[Finding]:
        for entry in self._checked.catalog.versions_of(self._name):
            folder = (self._home or self._checked.repository.root / self._name) / str(entry.version)
            if not (folder / entry.local_name).exists():
                yield _finding(
                    self._name,
                    (folder / entry.local_name,),
                    Problem(
                        "not-downloaded",
                        f"version {entry.version} is not on disk, so its config was not compared with its graph",
                        "Triton serves what is on disk",
                        f"`inv models.download --include {self._name}`",
                        "warning",
                    ),
                )

    def _unknown_callees(self) -> Iterator[Finding]:
        checked = self._checked
        for name in dict.fromkeys(name for each in checked.catalog.versions_of(self._name) for name in each.depends_on):
            if name not in checked.names or name == self._name:
                yield _finding(
                    self._name,
                    (checked.catalog.path,),
                    Problem(
                        "depends-on-unknown",
                        f"`depends_on` names {name!r}, which is no other model of models.toml or of the disk",
                        "nothing would be kept in service for this model",
                        near_misses(name, checked.names, "models") or "add it to models.toml",
                    ),
                )


def _hazard_problems(home: Path) -> Iterator[Problem]:
    for found in hazards(home):
        code = "load-hangs" if found.consequence == HANGS else "triton-crashes"
        yield Problem(code, found.what, found.consequence, "move it away, or put the right thing in its place")


def _general(checked: Checked) -> Iterator[Finding]:
    """Find what belongs to no one model: the lock, configs of models that are nowhere, and links to nothing."""
    for path in _dangling(checked.repository.root):
        why = "Triton lists no model, good ones neither: 'failed to stat file'"
        yield _finding(path.name, (path,), Problem("dangling-link", absent(path), why, "remove the link"))
    if not checked.lock_path.exists():
        yield _lock_finding(checked, checked.lock_path.name, "there is no such file, so nothing is pinned")
    else:
        for label, what in differences(checked.catalog, load_lock(checked.lock_path)).items():
            yield _lock_finding(checked, label.rpartition("/")[0], f"{label} {what}")
    folders = sorted(path for path in checked.config_dir.glob("*") if path.is_dir())
    for folder in (folder for folder in folders if folder.name not in checked.names):
        problem = Problem(
            "config-without-model",
            "models.toml has no such model",
            "nothing copies the config anywhere",
            f"add the model to {checked.catalog.path.name}, or remove the folder",
            "warning",
        )
        yield _finding(folder.name, (folder,), problem)


def _dangling(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_symlink() and not path.exists())


def _lock_finding(checked: Checked, model: str, what: str) -> Finding:
    why = "a download takes what the source has on that day"
    return _finding(model, (checked.lock_path,), Problem("not-locked", what, why, "`inv models.lock`", "warning"))


def _sources(checked: Checked) -> Iterator[Finding]:
    """Compare the files of this machine that models.toml names with their pins."""
    digests = DigestCache(checked.repository.work_dir / "digests.json")
    for label, error in source_problems(checked.catalog, load_lock(checked.lock_path), digests).items():
        yield _source_finding(checked, label, error)


def _source_finding(checked: Checked, label: str, error: TritonOpsError) -> Finding:
    is_changed = isinstance(error, SourceChangedError)
    problem = Problem(
        "source-changed" if is_changed else "source-unreadable",
        f"{label}: {error}",
        "what was locked goes on being served" if is_changed else "nobody knows whether it is what was locked",
        error.hint or f"see whether {checked.catalog.path.name} names the right path",
        "error" if is_changed else "warning",
    )
    return _finding(label.rpartition("/")[0], (checked.lock_path,), problem)


def _syntax(name: str, files: tuple[Path, ...], error: ConfigError) -> Finding:
    why = "Triton cannot read it: the model is not served, and a server with --exit-on-error does not start"
    found = _finding(name, files, Problem("config-syntax", str(error), why, "fix the line"))
    return replace(found, line=error.line)


def _finding(model: str, files: tuple[Path, ...], problem: Problem) -> Finding:
    return Finding(model, problem.code, problem.severity, files, problem.what, problem.why, problem.fix)


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    """Say once what stands in several files."""
    merged: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        key = finding.code, finding.what
        before = merged.get(key)
        files = finding.files if before is None else (*before.files, *finding.files)
        merged[key] = replace(finding, files=tuple(dict.fromkeys(files)))
    return list(merged.values())
