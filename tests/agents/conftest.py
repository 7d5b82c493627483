import sys
from pathlib import Path

HERE = Path(__file__).parent
# tests/no_sync.py, point_policies.py, warpd_points.py
sys.path[:0] = [str(HERE.parent), str(HERE / "diffusion_ppo"), str(HERE / "warpd")]
