"""What agents share; a room of an agent needs only its networks, its loss and its recipe.

The room, in the order of the data::

    selection.py       which episodes of a store demonstrate
    demonstrations.py  `Demonstrations`: trajectories in memory, and snippets of them; episodes.py checks single ones
    scale.py           scales of observations and actions, and a module that carries them
    encoded.py         demonstrations as a world model's features, with the chunk of actions after each
    chunks.py          plans and chunks under way in many envs
    runs.py            runs of stages: progress, resume, log, signals
    stages.py          a supervised stage: epochs over demonstrations
    settings.py        what a run was begun with; another request does not take it over
    folders.py         saved policies: folders of JSON and safetensors
"""
