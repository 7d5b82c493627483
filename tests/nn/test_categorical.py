import torch

from dreamgym.nn.categorical import balanced_kl, sample, straight_through


def test_samples_are_one_hot() -> None:
    probs = torch.randn(100, 4, 5).softmax(-1)
    one_hot = sample(probs, torch.rand(100, 4))
    assert torch.equal(one_hot.sum(-1), torch.ones(100, 4))
    assert set(one_hot.unique().tolist()) == {0.0, 1.0}


def test_samples_follow_the_probabilities() -> None:
    probs = torch.tensor([0.1, 0.0, 0.6, 0.3])
    one_hot = sample(probs.expand(200_000, 1, 4), torch.rand(200_000, 1, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(one_hot.mean((0, 1)), probs, atol=0.005)


def test_uniform_at_its_ends_picks_classes_that_can_happen() -> None:
    probs = torch.tensor([[[0.0, 1.0, 0.0]], [[0.0, 1.0, 0.0]], [[0.5, 0.5, 0.0]]])
    uniform = torch.tensor([[0.0], [1 - 2**-24], [1 - 2**-24]])
    assert sample(probs, uniform).argmax(-1).flatten().tolist() == [1, 1, 1]


def test_straight_through_has_the_gradient_of_the_probabilities() -> None:
    logits = torch.randn(3, 2, 4, requires_grad=True)
    weight = torch.randn(3, 2, 4)
    z = straight_through(logits.softmax(-1), torch.rand(3, 2))
    (through,) = torch.autograd.grad((z * weight).sum(), logits)
    (direct,) = torch.autograd.grad((logits.softmax(-1) * weight).sum(), logits)
    assert torch.allclose(through, direct)
    assert through.abs().sum() > 0


def test_four_fifths_of_the_gradient_train_the_prior() -> None:
    q = torch.randn(2, 3, 4, requires_grad=True)
    p = torch.randn(2, 3, 4, requires_grad=True)
    loss, value = balanced_kl(q, p, 0.8)
    plain = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=q), torch.distributions.Categorical(logits=p)
    ).sum(-1)
    assert torch.allclose(value, plain)
    assert torch.allclose(loss, plain)
    grad_q, grad_p = torch.autograd.grad(loss.sum(), (q, p))
    full_q, full_p = torch.autograd.grad(plain.sum(), (q, p))
    assert torch.allclose(grad_p, 0.8 * full_p, atol=1e-6)
    assert torch.allclose(grad_q, 0.2 * full_q, atol=1e-6)


def test_extreme_logits_stay_finite() -> None:
    q = torch.tensor([[[200.0, -200.0]]], requires_grad=True)
    p = torch.tensor([[[-200.0, 200.0]]], requires_grad=True)
    loss, _ = balanced_kl(q, p, 0.8)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert q.grad is not None
    assert p.grad is not None
    assert torch.isfinite(q.grad).all()
    assert torch.isfinite(p.grad).all()
