"""Action selection (LAC-WM, section 6.2): a policy proposes, the world model imagines, the best is carried out.

policy, N times ──imagined──> last frames ──distance to subgoal──> the k best, averaged ──carried out──> next one
"""

from dreamgym_agents.action_selection.selection import ActionSelection, SelectionConfig, chosen, subgoals

__all__ = ["ActionSelection", "SelectionConfig", "chosen", "subgoals"]
