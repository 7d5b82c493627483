import pytest
import torch
from fakes import FEATURES, FakeModel
from no_sync import NoSync

from dreamgym.rewards import SuccessClassifier, SuccessConfig, build_reward
from dreamgym.rewards.success import nt_xent, success_loss
from dreamgym.suites import suite

TASKS = suite("calvin").tasks


def classifier(compare_start=False, tasks=TASKS):
    torch.manual_seed(0)
    return SuccessClassifier(SuccessConfig(tasks, FEATURES, (16, 16), (8,), compare_start=compare_start))


def state(count, seed=0):
    g = torch.Generator().manual_seed(seed)
    scene, robot = torch.rand(count, 24, generator=g), torch.rand(count, 15, generator=g)
    return {"scene": scene, "robot": robot, "unsure": torch.zeros(count)}


def test_the_papers_sizes():
    config = SuccessConfig.paper(("a",), 2048)
    count = sum(p.numel() for p in SuccessClassifier(config).parameters())
    # Table S.4: f = 2048-512-512, g = 512-512-512 and two logits.
    assert count == (2048 * 512 + 512) + (512 * 512 + 512) + 2 * (512 * 512 + 512) + (512 * 2 + 2)
    assert config.temperature == 0.5


@pytest.mark.parametrize("compare_start", [False, True])
def test_a_mixed_batch_scores_each_env_as_its_own_task_alone_would(compare_start):
    model, reward = FakeModel(), classifier(compare_start)
    begin, now = state(40, 1), state(40, 2)
    task = torch.randint(0, 8, (40,), generator=torch.Generator().manual_seed(3))
    got = reward.probability(model, reward.start(model, begin, task), now, task)
    for i in range(40):
        b, n = ({k: v[i : i + 1] for k, v in s.items()} for s in (begin, now))
        one = reward.probability(model, reward.start(model, b, task[i : i + 1]), n, task[i : i + 1])
        torch.testing.assert_close(got[i : i + 1], one)


@pytest.mark.parametrize("compare_start", [False, True])
def test_the_log_probability_is_the_logarithm_and_underflows_nowhere(compare_start):
    model, reward = FakeModel(), classifier(compare_start)
    task = torch.arange(24) % 8
    memory, now = reward.start(model, state(24, 1), task), state(24)
    got = reward.log_probability(model, memory, now, task)
    torch.testing.assert_close(got, reward.probability(model, memory, now, task).log())
    with torch.no_grad():
        reward.head_layers[-1].bias[:, 0] += 1000.0
    assert (reward.probability(model, memory, now, task) == 0).all()
    torch.testing.assert_close(
        reward.log_probability(model, memory, now, task), torch.full((24,), -1000.0), rtol=0.01, atol=0
    )


@pytest.mark.parametrize("compare_start", [False, True])
def test_all_tasks_at_once_as_on_an_accelerator_gives_the_same(compare_start, monkeypatch):
    model, reward = FakeModel(), classifier(compare_start)
    task = torch.arange(24) % 8
    memory = reward.start(model, state(24, 1), task)
    got = reward.probability(model, memory, state(24), task)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(reward.probability(model, memory, state(24), task), got)


def test_on_an_accelerator_mixed_tasks_are_looked_at_once():
    model, reward = FakeModel(), classifier()
    reward.reads_freely = False  # as on a device that has to be waited for
    reward.probability(model, {}, state(24), torch.arange(24) % 8)
    for shift in range(1, 4):
        task = (torch.arange(24) + shift) % 8  # another tensor each time, as after resets
        with NoSync():
            got = reward.probability(model, {}, state(24), task)
        torch.testing.assert_close(got, classifier().probability(model, {}, state(24), task))


def test_a_task_tensor_changed_in_place_is_seen():
    model, reward, task = FakeModel(), classifier(), torch.zeros(6, dtype=torch.long)
    first = reward.probability(model, {}, state(6), task)
    task[3] = 5
    second = reward.probability(model, {}, state(6), task)
    assert second[3] != first[3]
    torch.testing.assert_close(second[:3], first[:3])


def test_gradients_flow_where_the_grouping_was_made_in_inference_mode():
    reward, task = classifier(), torch.tensor([2, 0, 2])
    with torch.inference_mode():
        reward.score(torch.zeros(3, FEATURES), {}, task)
    features = torch.zeros(3, FEATURES, requires_grad=True)
    reward.score(features, {}, task).sum().backward()
    assert (features.grad != 0).any(1).all()


def test_the_start_matters_only_to_a_classifier_that_compares():
    model, task = FakeModel(), torch.zeros(4, dtype=torch.long)
    reward = classifier(compare_start=True)
    a = reward.probability(model, reward.start(model, state(4, 1), task), state(4), task)
    b = reward.probability(model, reward.start(model, state(4, 2), task), state(4), task)
    assert not torch.allclose(a, b)
    assert classifier().start(model, state(4, 1), task) == {}


def test_config_and_weights_round_trip():
    model, reward, task = FakeModel(), classifier(True), torch.arange(8)
    reward.thresholds.copy_(torch.linspace(0.2, 0.9, 8))
    again = build_reward("success", reward.to_config())
    again.load_state_dict(reward.state_dict())
    memory = reward.start(model, state(8, 1), task)
    torch.testing.assert_close(
        again.probability(model, again.start(model, state(8, 1), task), state(8), task),
        reward.probability(model, memory, state(8), task),
    )
    torch.testing.assert_close(again.thresholds, reward.thresholds)


def test_nt_xent_is_equation_13():
    g = torch.Generator().manual_seed(0)
    z = torch.nn.functional.normalize(torch.randn(5, 3, generator=g), dim=1)
    label = torch.tensor([True, True, False, True, False])
    total, pairs = 0.0, 0
    for i in range(5):
        for j in range(5):
            if i != j and label[i] and label[j]:
                others = [torch.exp(z[i] @ z[k] / 0.5) for k in range(5) if k != i]
                total -= torch.log(torch.exp(z[i] @ z[j] / 0.5) / sum(others))
                pairs += 1
    torch.testing.assert_close(nt_xent(7 * z[None], label[None], 0.5), total / pairs)


def test_training_separates_success_from_failure():
    reward = classifier(tasks=("a", "b"))
    g = torch.Generator().manual_seed(0)
    x = torch.randn(2, 64, FEATURES, generator=g)
    label = x[..., 0] > 0
    optimizer = torch.optim.Adam(reward.parameters(), lr=1e-2)
    for _ in range(60):
        loss = success_loss(reward, x, None, label)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for i in range(2):
        score = reward.score(x[i], {}, torch.full((64,), i))
        assert ((score > 0.5) == label[i]).float().mean() > 0.95


def test_a_wrong_number_of_thresholds_is_named():
    with pytest.raises(ValueError, match="thresholds"):
        SuccessClassifier(SuccessConfig(("a", "b"), 4), thresholds=[0.5])


def test_an_unknown_kind_lists_the_known_ones():
    with pytest.raises(ValueError, match="success"):
        build_reward("goal", {})
