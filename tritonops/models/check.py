"""The whole check: models.toml, the lock, the disk, and every config."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tritonops.errors import ConfigError, RepositoryError, UnknownModelError, near_misses
from tritonops.models.catalog_findings import catalog_findings, source_findings
from tritonops.models.checked import Checked
from tritonops.models.configs.declared import declared_text
from tritonops.models.configs.pbtxt import parse_config, read_text
from tritonops.models.configs.variants import source_path
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.models.graphs.trial import Trial, TrialRequest
from tritonops.models.graphs.trial_cache import TrialCache
from tritonops.models.rules.config import config_problems
from tritonops.models.rules.ensembles import ensemble_problems
from tritonops.models.rules.files import files_problems, layout_problems
from tritonops.models.rules.finding import Finding, Problem, Subject, finding_of
from tritonops.models.rules.hazards import HANGS, hazards
from tritonops.models.rules.onnx.graph import graph_problems
from tritonops.models.rules.onnx.parameters import onnx_backend_problems
from tritonops.models.rules.onnx.trials import needed_trials
from tritonops.models.rules.python import python_problems
from tritonops.models.rules.warmup import warmup_problems

_CORE_RULES = (config_problems, ensemble_problems)
_LOADING_RULES = (files_problems, onnx_backend_problems, graph_problems, warmup_problems, python_problems)


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
    findings = [finding for model in chosen for finding in _merged(model.findings(others, trials))]
    sources = [finding for finding in source_findings(checked) if not include or finding.model in include]
    return (*findings, *sources, *([] if include else catalog_findings(checked)))


def _try(
    checked: Checked, subjects: Sequence[Subject], on_trial: Callable[[TrialRequest], object]
) -> Mapping[TrialRequest, Trial]:
    if checked.trials == "none":
        return {}
    load_all = checked.trials == "all"
    requests = [request for subject in subjects for request in needed_trials(subject, load_all=load_all)]
    work_dir = checked.repository.work_dir
    digests = DigestCache(work_dir / "digests.json")
    trials = TrialCache(work_dir / "trials.json", digests).try_graphs(requests, on_start=on_trial)
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

    def findings(self, others: dict[str, Subject], trials: Mapping[TrialRequest, Trial]) -> Iterator[Finding]:
        """Find what is wrong, with the other models and the trials at hand."""
        yield from self._early
        yield from self._missing_configs()
        yield from self._missing_files()
        yield from self._unknown_callees()
        for subject, files in zip(self.subjects, self._files, strict=True):
            is_load_tried = self._checked.trials == "all"
            subject = replace(subject, others=others, trials=trials, is_load_tried=is_load_tried)
            for problem in _problems(subject):
                yield finding_of(self._name, files, problem)
        if self._home:
            configs = [subject.config for subject in self.subjects]
            for problem in (*_hazard_problems(self._home), *layout_problems(self._home, self._versions, configs)):
                yield finding_of(self._name, (self._home,), problem)

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
            yield finding_of(
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
                yield finding_of(
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
                yield finding_of(
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
