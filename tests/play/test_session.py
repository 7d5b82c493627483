import numpy as np
import pytest

from dreamgym.data import EpisodeStore
from dreamgym.envs.make import make_core
from dreamgym.play import Session
from dreamgym.play.open import opener
from dreamgym.play.recorder import Recorder
from dreamgym.types import ActionSpec


@pytest.fixture
def session(make_session):
    made = make_session()
    yield made
    made.close()


def push(session, value=0.5):
    return np.full(session.action.dim, value, np.float32)


def test_dream_and_twin_begin_alike_and_move_alike(session):
    frame = session.reset(session.tasks[0], 3)
    assert frame.start >= 0
    assert frame.elapsed == 0
    np.testing.assert_allclose(frame.dream.picture, frame.twin.picture, atol=2)
    begun = frame.dream.picture
    for _ in range(4):
        frame = session.step(push(session))
    np.testing.assert_allclose(frame.dream.picture, frame.twin.picture, atol=2)
    assert (frame.dream.picture != begun).any()
    assert frame.elapsed == 4


def test_a_marked_moment_comes_back_exactly_as_it_was(session):
    session.reset(session.tasks[0], 0)
    session.step(push(session))
    session.mark()
    at = session.frame()
    first = session.step(push(session, -1.0))
    back = session.return_to_mark()
    np.testing.assert_array_equal(back.dream.picture, at.dream.picture)
    np.testing.assert_array_equal(back.twin.picture, at.twin.picture)
    assert back.elapsed == at.elapsed
    again = session.step(push(session, -1.0))
    np.testing.assert_array_equal(again.dream.picture, first.dream.picture)
    assert again.dream.success_probability == first.dream.success_probability
    assert not session.reset(session.tasks[0], 1).marked


def test_there_is_nothing_to_return_to_before_a_mark(session):
    session.reset(session.tasks[0], 0)
    with pytest.raises(ValueError, match="mark one first"):
        session.return_to_mark()


@pytest.mark.parametrize("action", [np.zeros(5), np.array([np.nan, 0.0, 0.0]), np.zeros((1, 3))])
def test_actions_that_are_none_are_refused(session, action):
    session.reset(session.tasks[0], 0)
    with pytest.raises(ValueError, match="3 finite numbers"):
        session.step(action)


def test_an_unknown_task_is_named(session):
    with pytest.raises(ValueError, match="unknown task 'fly'"):
        session.reset("fly", 0)


def test_an_episode_ends_at_its_horizon_and_keeps_still(folder):
    session = opener("Dream-v0", checkpoint=folder, horizon=3)[0]()
    session.reset(session.tasks[0], 0)
    for _ in range(3):
        frame = session.step(push(session, 0.0))
    assert frame.dream.ended is not None
    assert session.over
    after = session.step(push(session, 1.0))
    np.testing.assert_array_equal(after.dream.picture, frame.dream.picture)
    assert after.elapsed == frame.elapsed
    session.close()


@pytest.mark.parametrize("twin", [True, False])
def test_kept_episodes_are_a_store(folder, tmp_path, twin):
    store = tmp_path / "played"
    session = opener("Dream-v0", checkpoint=folder, twin=twin, record=store)[0]()
    session.reset(session.tasks[0], 0)
    with pytest.raises(ValueError, match="at least two steps"):
        session.keep()
    for value in (0.1, 0.2, 0.3):
        session.step(push(session, value))
    session.mark()
    session.step(push(session, 0.9))
    session.return_to_mark()  # what was tried after the mark is no part of the episode
    session.step(push(session, 0.4))
    assert session.keep().recorded == 1
    session.close()
    kept = EpisodeStore.open(store)
    np.testing.assert_allclose(kept.episode(0)["action"][:, 0], [0.1, 0.2, 0.3, 0.4], atol=1e-6)
    assert kept.episode(0)["rgb_static"].dtype == np.uint8
    assert kept.metas[0]["source"] == ("twin" if twin else "dream")
    assert kept.info["tasks"] == list(session.tasks)


def test_keeping_needs_a_store(session):
    session.reset(session.tasks[0], 0)
    with pytest.raises(ValueError, match="--record"):
        session.keep()


def test_cores_that_cannot_be_played_are_refused(folder):
    with pytest.raises(ValueError, match="num_envs=1 and autoreset 'disabled'"):
        Session(make_core(folder, num_envs=2, autoreset_mode="disabled"))


def test_what_cannot_be_opened_is_told(folder):
    with pytest.raises(ValueError, match="not the id of a dream"):
        opener("Real-PushT-v0")
    with pytest.raises(ValueError, match="unknown task 'fly'"):
        opener("Dream-v0", task="fly", checkpoint=folder)


def test_played_episodes_are_not_mixed_with_those_of_others(tmp_path):
    """Told when the page is opened, not once an episode is to be kept."""
    action = ActionSpec((-1.0,), (1.0,), (), (0.0,))
    EpisodeStore.create(tmp_path / "s", {"action": ((1,), "float32")}, {"suite": "pusht", "frame_rate": 10})
    with pytest.raises(ValueError, match="was made with suite 'pusht', not 'metaworld': record into another store"):
        Recorder(tmp_path / "s", "twin", action, 10, "metaworld")
    Recorder(tmp_path / "s", "twin", action, 10, "pusht")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="is a file"):
        Recorder(tmp_path / "file", "twin", action, 10, "pusht")
