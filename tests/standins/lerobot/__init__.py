"""A stand-in of the package lerobot, which cannot be installed here (it needs Python 3.12 and torchvision).

It has the part of lerobot 0.6.2's API (commit 7427f31801f944f5ec9ce53cda02862ce7d1638b) that loading and asking a
policy takes, with its names, signatures and files: configs/policies.py, configs/types.py, policies/pretrained.py,
policies/factory.py, and pipelines of processor/. Written here; what it computes is its own.
"""

__version__ = "0.6.2"
