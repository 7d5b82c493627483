import gymnasium as gym
import pytest

import dreamgym  # noqa: F401 - registers the ids

pytest.importorskip("robosuite")


def test_a_dream_claims_pictures_only_where_the_assets_are(monkeypatch):
    monkeypatch.delenv("DREAMGYM_LIBERO_ASSETS", raising=False)
    env = gym.make("Dream-LIBERO-v0")
    assert env.metadata["render_modes"] == []
    env.close()
    with pytest.raises(ValueError, match="DREAMGYM_LIBERO_ASSETS"):
        gym.make("Dream-LIBERO-v0", render_mode="rgb_array")
