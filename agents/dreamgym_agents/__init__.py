"""Agents that learn in a dream: an empty room until the issues that fill it.

Installed as ``dreamgym_agents`` (a top-level ``agents`` would overwrite other packages). It may import anything from
``dreamgym``; ``dreamgym`` never imports it. Each agent will be a room of its own and share the
``dreamgym.types`` policy protocol, so that one evaluation scores it in the dream and in the real twin:

- ``diffusion_ppo``: a diffusion policy, cloned from demonstrations and then fine-tuned in the dream with PPO over its
  denoising steps (DiWA).
- ``warpd``: a policy generated as weights by diffusion, with the world model's co-training (WARP-D).
- ``refinement``: a base policy whose action is refined against imagined outcomes (LaDi-WM).
- ``action_selection``: candidate actions rolled out in the dream, the best one executed.
- ``action_expert``: an action head on a video cascade's features (DVG-WM).
"""
