"""CALVIN's tables and PlayTable: skills, play, demonstrations and attempts with scripted hands."""
