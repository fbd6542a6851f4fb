"""The sharded head against the dense one under data-parallel training, with real gloo ranks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import distributed as dist
from torch import nn

from ssat.embedding.cosface import CosFaceHead, initial_rows
from ssat.embedding.sharded_head import ShardedCosFaceHead, shard_rows
from tests.ssat.embedding.ranks import run_ranks

CLASSES = 11  # divides neither by 2 nor by 3
BATCH = 6
STEPS = 2


def body() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 512))


def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(BATCH, 20, generator=generator), torch.randint(0, CLASSES, (BATCH,), generator=generator)


def dense() -> dict[str, torch.Tensor]:
    """Losses, numbers and final gradients of plain training on whole batches."""
    network, head = body(), CosFaceHead(CLASSES, scale=16.0, margin=0.2)
    optimizer = torch.optim.SGD([*network.parameters(), *head.parameters()], 0.1, 0.9)
    numbers = []
    for step in range(STEPS):
        inputs, labels = batch(step)
        optimizer.zero_grad()
        output = head(network(inputs), labels)
        output.loss.backward()
        numbers.append(torch.stack([output.loss.detach(), output.accuracy, output.target_cosine]))
        optimizer.step()
    gradients = {name: p.grad for name, p in network.named_parameters()}
    return {"numbers": torch.stack(numbers), "head": head.weight.grad, "weight": head.weight.detach(), **gradients}


def run_rank(rank: int, world: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world)
    network = nn.parallel.DistributedDataParallel(body())
    head = ShardedCosFaceHead(CLASSES, dist.group.WORLD, scale=16.0, margin=0.2)
    optimizer = torch.optim.SGD([*network.parameters(), *head.parameters()], 0.1, 0.9)
    numbers = []
    for step in range(STEPS):
        inputs, labels = (values.chunk(world)[rank] for values in batch(step))
        optimizer.zero_grad()
        output = head(network(inputs), labels)
        output.loss.backward()
        numbers.append(torch.stack([output.loss.detach(), output.accuracy, output.target_cosine]))
        optimizer.step()
    gradients = {name: p.grad for name, p in network.module.named_parameters()}
    torch.save(
        {"numbers": torch.stack(numbers), "head": head.weight.grad, "weight": head.weight.detach(), **gradients},
        f"{folder}/rank{rank}.pt",
    )
    dist.destroy_process_group()


@pytest.mark.parametrize("world", [1, 2, 3])
def test_loss_and_every_gradient_equal_the_dense_heads(world: int, tmp_path: Path) -> None:
    expected = dense()
    run_ranks(run_rank, (world, str(tmp_path)), world)
    ranks = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(world)]
    for name in ("head", "weight"):
        ranks[0][name] = torch.cat([rank[name] for rank in ranks])
    assert expected["head"].abs().max() > 1e-3  # there is something to compare
    for name, value in expected.items():
        torch.testing.assert_close(ranks[0][name], value, rtol=0, atol=1e-5)
    for other in ranks[1:]:
        torch.testing.assert_close(other["numbers"], expected["numbers"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("classes", "world"), [(11, 3), (500_000, 64), (8, 8)])
def test_shards_cover_all_classes_evenly(classes: int, world: int) -> None:
    shards = [shard_rows(classes, rank, world) for rank in range(world)]
    assert [row for shard in shards for row in shard] == list(range(classes))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_a_class_starts_from_the_same_weights_whoever_holds_it() -> None:
    whole = initial_rows(0, 9000, seed=5)
    assert torch.equal(torch.cat([initial_rows(0, 4000, 5), initial_rows(4000, 9000, 5)]), whole)
    assert torch.equal(initial_rows(8999, 9000, 5)[0], whole[8999])
    assert not torch.equal(initial_rows(0, 9000, 6), whole)
    assert whole.std().item() == pytest.approx(0.01, rel=0.01)


def test_sampled_negatives_move_only_the_classes_that_took_part() -> None:
    head = ShardedCosFaceHead(100, scale=16.0, margin=0.2, negative_share=0.2)
    before = head.weight.detach().clone()
    features = torch.randn(4, 512, requires_grad=True)
    labels = torch.tensor([3, 97, 3, 50])
    head.start_step(7)
    output = head(features, labels)
    output.loss.backward()
    head.apply_gradient(learning_rate=0.5, momentum=0.9, weight_decay=0.0)
    moved = (head.weight != before).any(1).nonzero().squeeze(1).tolist()
    assert len(moved) == 20
    assert {3, 50, 97} <= set(moved)
    assert features.grad is not None
    assert features.grad.abs().max() > 0

    again = ShardedCosFaceHead(100, scale=16.0, margin=0.2, negative_share=0.2)
    again.start_step(7)
    assert torch.equal(again(features.detach(), labels).loss, output.loss)


def test_all_classes_sampled_is_the_dense_head_with_sgd() -> None:
    dense_head = CosFaceHead(12, scale=16.0, margin=0.2)
    sampled = ShardedCosFaceHead(12, scale=16.0, margin=0.2, negative_share=0.999)
    optimizer = torch.optim.SGD(dense_head.parameters(), 0.1, 0.9, weight_decay=1e-3)
    for step in range(3):
        features = torch.randn(5, 512, generator=torch.Generator().manual_seed(step))
        labels = torch.tensor([0, 11, 5, 5, 2])
        optimizer.zero_grad()
        dense_head(features, labels).loss.backward()
        optimizer.step()
        sampled(features, labels).loss.backward()
        sampled.apply_gradient(0.1, 0.9, 1e-3)
    torch.testing.assert_close(sampled.weight, dense_head.weight, rtol=0, atol=1e-6, check_stride=False)
