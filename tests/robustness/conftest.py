import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
FOLDERS = ("", "agents/diffusion_ppo", "data", "data/readers")
sys.path[:0] = [str(TESTS / folder) for folder in FOLDERS]
