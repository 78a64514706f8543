"""The task suite of tritonops: collections from tasks/, and the few tasks at the root. Try `./inv --list`."""

from __future__ import annotations

from pathlib import Path

# Invoke loads this file as the module "tasks"; a __path__ lets it also be the package of the files in tasks/.
__path__ = [str(Path(__file__).with_suffix(""))]

from invoke import Collection

from tasks import completion, compose, dev, kubernetes, models, quickstart, remote, server, triton

ns = Collection(
    quickstart.quickstart,
    dev.test,
    dev.lint,
    dev.format_,
    dev.typecheck,
    dev.bench,
    dev.doctor,
    completion.completion,
    Collection.from_module(models),
    Collection.from_module(remote),
    Collection.from_module(server),
    Collection.from_module(triton),
    Collection.from_module(compose),
    Collection.from_module(kubernetes),
    Collection("dev", dev.relock, dev.engine, dev.docs),
)
