"""The whole check: models.toml, the lock, the disk, and every config."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tritonops.errors import ConfigError, PartialFailureError, RepositoryError, UnknownModelError
from tritonops.models.catalog_findings import catalog_findings, source_findings
from tritonops.models.checked import Checked
from tritonops.models.configs.declared import declared_text
from tritonops.models.configs.pbtxt import ModelConfig, parse_config, read_text
from tritonops.models.configs.variants import source_path
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.models.graphs.trial import Trial, TrialRequest
from tritonops.models.graphs.trial_cache import TrialCache
from tritonops.models.rules.completion.missing_config import missing_config_problem
from tritonops.models.rules.completion.problems import completed_warmup_problems, completion_problems
from tritonops.models.rules.config import config_problems
from tritonops.models.rules.embedded import embedded_problems
from tritonops.models.rules.ensembles.ensemble import ensemble_problems
from tritonops.models.rules.entries import callee_problems, missing_file_problem
from tritonops.models.rules.files import files_problems, layout_problems
from tritonops.models.rules.finding import Finding, Problem, Subject, finding_of
from tritonops.models.rules.hazards import HANGS, hazards
from tritonops.models.rules.onnx.graph import graph_problems
from tritonops.models.rules.onnx.parameters import onnx_backend_problems
from tritonops.models.rules.onnx.trials import needed_trials
from tritonops.models.rules.python import python_problems
from tritonops.models.rules.pytorch import pytorch_problems
from tritonops.models.rules.sequences.state_files import state_file_problems

_CORE_RULES = (config_problems, completion_problems, ensemble_problems)
_LOADING_RULES = (
    *(files_problems, state_file_problems, embedded_problems, onnx_backend_problems),
    *(graph_problems, completed_warmup_problems, python_problems, pytorch_problems),
)


def check(
    checked: Checked,
    *,
    include: Sequence[str] = (),
    on_trial: Callable[[TrialRequest], object] = lambda _: None,
) -> tuple[Finding, ...]:
    """Check the models in `include`, or all of models.toml, of triton-config/ and of the disk.

    `on_trial` is called before each trial on ONNX Runtime. Raises UnknownModelError for a name that is nowhere.
    """
    for name in include:
        if name not in checked.names:
            raise UnknownModelError(name, checked.names, where=str(checked.catalog.path))
    models = {name: _Model(checked, name) for name in checked.names}
    others = {name: model.subjects[0] for name, model in models.items() if model.subjects}
    chosen = [model for name, model in models.items() if not include or name in include]
    trials = _try(checked, [subject for model in chosen for subject in model.subjects], on_trial)
    shared = {"others": others, "unreadable": frozenset(models) - others.keys(), "trials": trials}
    findings = [finding for model in chosen for finding in _merged(model.findings(shared))]
    sources = [finding for finding in source_findings(checked) if not include or finding.model in include]
    return (*findings, *sources, *catalog_findings(checked, include))


def require_servable(findings: Sequence[Finding]) -> None:
    """Raise PartialFailureError with the errors of each model; warnings pass."""
    errors: dict[str, str] = {}
    for finding in findings:
        if finding.severity == "error":
            before = f"{errors[finding.model]}; " if finding.model in errors else ""
            errors[finding.model] = f"{before}{finding.what} (fix: {finding.fix})"
    if errors:
        raise PartialFailureError(
            "Triton would refuse these models, or serve them wrong", errors, hint="inv models.check"
        )


def _try(
    checked: Checked, subjects: Sequence[Subject], on_trial: Callable[[TrialRequest], object]
) -> Mapping[TrialRequest, Trial]:
    if checked.trials == "none":
        return {}
    load_all = checked.trials == "all"
    requests = [request for subject in subjects for request in needed_trials(subject, load_all=load_all)]
    digests = DigestCache(checked.memory / "digests.json")
    trials = TrialCache(checked.memory / "trials.json", digests).try_graphs(requests, on_start=on_trial)
    digests.save()
    return trials


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
                finding_of(name, (), Problem("two-places", str(exc), "Triton serves one of them", exc.hint or ""))
            )
        for text, files in self._texts().items():
            self._add(text, files)
        is_bare = not self._early and not self.subjects and self._home and not self._config_on_disk.exists()
        if is_bare and self._without_config.severity == "warning":
            self._add("", (self._config_on_disk,))

    def findings(self, shared: Mapping[str, Any]) -> Iterator[Finding]:
        """Find what is wrong, with what all subjects share at hand: other models, trials."""
        yield from self._early
        yield from self._missing_configs()
        yield from self._missing_files()
        yield from self._unknown_callees()
        for subject, files in zip(self.subjects, self._files, strict=True):
            is_load_tried = self._checked.trials == "all"
            for problem in _problems(replace(subject, is_load_tried=is_load_tried, **shared)):
                yield finding_of(self._name, files, problem)
        if self._home:
            configs = [subject.config for subject in self.subjects]
            for problem in (*_hazard_problems(self._home), *layout_problems(self._home, self._versions, configs)):
                yield finding_of(self._name, (self._home,), problem)

    @property
    def _is_declared(self) -> bool:
        return self._name in self._checked.catalog.names

    @property
    def _without_config(self) -> Problem:
        return missing_config_problem(self._subject(parse_config("")), is_declared=self._is_declared)

    @property
    def _config_on_disk(self) -> Path:
        return (self._home or self._checked.repository.root / self._name) / "config.pbtxt"

    @property
    def _versions(self) -> tuple[int, ...]:
        return self._checked.repository.versions(self._name) if self._home else ()

    def _texts(self) -> dict[str, tuple[Path, ...]]:
        """Give every config of the model: of triton-config/ as it would be copied, and of the disk as it is."""
        checked, texts = self._checked, dict[str, tuple[Path, ...]]()
        sources = [source_path(checked.config_dir, self._name, variant) for variant in checked.variants]
        on_disk = self._config_on_disk
        for path in (path for path in (on_disk, *sources) if path.is_file()):
            try:
                text = read_text(path)
            except ConfigError as exc:
                self._early.append(_syntax(self._name, (path,), exc))
                continue
            declared = text if path == on_disk else declared_text(checked.catalog, self._name, text)
            texts[declared] = (*texts.get(declared, ()), path)
        return texts

    def _add(self, text: str, files: tuple[Path, ...]) -> None:
        try:
            config = parse_config(text, where=str(files[0]))
        except ConfigError as exc:
            self._early.append(_syntax(self._name, files, exc))
            return
        self.subjects.append(self._subject(config))
        self._files.append(files)

    def _subject(self, config: ModelConfig) -> Subject:
        checked = self._checked
        enabled = self._home is None or self._home.parent == checked.repository.root
        return Subject(self._name, config, self._home, self._versions, checked.server, enabled)

    def _missing_configs(self) -> Iterator[Finding]:
        sources = [source_path(self._checked.config_dir, self._name, variant) for variant in self._checked.variants]
        on_disk = self._config_on_disk.exists()  # a folder is a hazard
        absent = [path for path in sources if not path.is_file()]
        if not self._is_declared:
            absent = [] if on_disk else [self._config_on_disk]
        if not absent:
            return
        if not on_disk and (len(absent) == len(sources) or not self._is_declared):
            problem = self._without_config
        else:
            problem = Problem(
                "no-config",
                f"there is no {', '.join(path.name for path in absent)}",
                "`inv models.config` has none to copy for such a server",
                f"write it; of an ONNX model, `inv models.generate-config {self._name} --overwrite` writes both",
                "warning",
            )
        yield finding_of(self._name, tuple(absent), problem)

    def _missing_files(self) -> Iterator[Finding]:
        for entry in self._checked.catalog.versions_of(self._name):
            path = self._config_on_disk.parent / str(entry.version) / entry.local_name
            if problem := missing_file_problem(entry, path):
                yield finding_of(self._name, (path,), problem)

    def _unknown_callees(self) -> Iterator[Finding]:
        catalog = self._checked.catalog
        for problem in callee_problems(self._name, catalog.versions_of(self._name), self._checked.names):
            yield finding_of(self._name, (catalog.path,), problem)


def _hazard_problems(home: Path) -> Iterator[Problem]:
    for found in hazards(home):
        code = "load-hangs" if found.consequence == HANGS else "triton-crashes"
        yield Problem(code, found.what, found.consequence, "move it away, or put the right thing in its place")


def _syntax(name: str, files: tuple[Path, ...], error: ConfigError) -> Finding:
    why = "Triton cannot read it: the model is not served, and a server with --exit-on-error does not start"
    found = finding_of(name, files, Problem("config-syntax", str(error), why, "fix the line"))
    return replace(found, line=error.line)


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    """Say once what stands in several files."""
    merged: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        key = finding.code, finding.what
        before = merged.get(key)
        files = finding.files if before is None else (*before.files, *finding.files)
        merged[key] = replace(finding, files=tuple(dict.fromkeys(files)))
    return list(merged.values())
