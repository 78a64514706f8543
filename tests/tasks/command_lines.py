"""All tasks with their options, as Invoke knows them."""

from invoke import Config, FilesystemLoader

from tests.paths import PROJECT

_module, _ = FilesystemLoader(start=str(PROJECT), config=Config()).load("tasks")
COLLECTION = _module.ns
TASKS = {name: _module.ns[name] for name in sorted(_module.ns.task_names)}
CONTEXTS = {context.name: context for context in _module.ns.to_contexts()}
OPTIONS = [(name, option) for name in TASKS for option in dict.fromkeys(CONTEXTS[name].args.values())]
