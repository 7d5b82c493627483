"""The batched simulation core, its faces and the twin.

The room::

    core/             the simulation: `DreamCore` and its parts
    faces/            Gymnasium (single, vector), TorchRL, Stable-Baselines3
    make.py           from a checkpoint to a core and a Gymnasium face
    twin.py           the same with real simulators; simulated.py is their world, simulators.py runs them
    registration.py   the env ids
"""
