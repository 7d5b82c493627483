import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "diffusion_ppo"))  # point_policies.py
