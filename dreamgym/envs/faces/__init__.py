"""Faces of a core: Gymnasium single and vector, TorchRL, Stable-Baselines3. None computes anything of its own."""
