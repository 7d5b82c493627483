"""The batched simulation core: everything that a dream is, without any library's calling convention.

The room::

    core.py           `DreamCore`: reset, step, autoreset; read this first
    options.py        `CoreOptions`
    actions.py        prepare: actions on their way in
    world.py          unroll: the model's dynamics (in a twin `dreamgym.envs.simulated`)
    judge.py          who succeeded and who ends
    begin.py          how episodes begin; starts.py the start bank, draws.py its random numbers
    observation.py    what is shown
    branching.py      snapshots
    fast.py           work that is skipped; off with ``fast=False``
    working.py        threads and gradients; rows.py, steps.py small parts
"""
