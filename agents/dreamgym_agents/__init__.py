"""Agents that learn in a dream.

Installed as ``dreamgym_agents`` (a top-level ``agents`` would overwrite other packages). It may import anything from
``dreamgym``; ``dreamgym`` never imports it. Each agent is a room of its own and keeps the ``dreamgym.types`` policy
protocol, so that one evaluation scores it in the dream and in the real twin. Its saved policies are found through the
entry-point group ``dreamgym.policies``, its commands (``dreamgym diffusion-ppo clone``) through ``dreamgym.commands``.

- ``common``: what they share: runs of stages, settings, chunks, demonstrations, saved policies. A new room needs only
  its networks, its loss and its recipe.
- ``diffusion_ppo``: a diffusion policy, cloned from demonstrations and then fine-tuned in the dream with PPO over its
  denoising steps (DiWA).
- ``warpd``: a policy generated as weights by diffusion, with the world model's co-training (WARP-D).

Rooms to come:

- ``refinement``: a base policy whose action is refined against imagined outcomes (LaDi-WM).
- ``action_selection``: candidate actions rolled out in the dream, the best one executed.
- ``action_expert``: an action head on a video cascade's features (DVG-WM).
"""
