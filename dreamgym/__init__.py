"""dreamgym: trained world models as vectorized Gymnasium, TorchRL and Stable-Baselines3 environments.

The way the data flows::

    real sim --collect--> episodes --fit--> world model --+
                              |                           +--> dream env --> agent --> policy --evaluate--> real twin
                              +--label--> reward model ---+                               +---------------> dream
                              +--encode--> start states --+
"""

__version__ = "0.1.0"
