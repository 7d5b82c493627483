"""Network blocks that more than one family or room uses; no config, no I/O."""
