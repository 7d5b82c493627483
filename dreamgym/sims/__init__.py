"""Real simulators, a plain `gymnasium.Env` each, with snapshots; nothing here knows of world models."""
