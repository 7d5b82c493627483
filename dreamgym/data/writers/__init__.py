"""Episode stores as data sets of other libraries.

lerobot.py   `export_lerobot`: a LeRobotDataset v3, readable by lerobot and by `dreamgym.data.readers`
tables.py    its tables: features, rows, episodes, tasks, as parquet
videos.py    its cameras as H.264
statistics.py  its meta/stats.json
"""

from dreamgym.data.writers.lerobot import ExportConfig, export_lerobot

__all__ = ["ExportConfig", "export_lerobot"]
