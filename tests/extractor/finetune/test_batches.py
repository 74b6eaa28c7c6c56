from __future__ import annotations

import numpy as np
import pytest
import torch
from finetune_example import pictures, tiny_config
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.distributed import ALONE, ProcessGroup, Workers
from extractor.finetune.augment import augmenter
from extractor.finetune.batches import Step, load_passes, passes_of, plan_epoch

CPU = torch.device("cpu")


def labels_of(n: int, events: int) -> np.ndarray:
    return (np.arange(n) < events).astype(np.float32)


def drawn(steps: list[Step]) -> list[tuple[int, int]]:
    return [
        (int(row), int(seed))
        for step in steps
        for part in step.passes
        for row, seed in zip(part.rows, part.seeds, strict=True)
    ]


@settings(deadline=None)
@given(
    n=st.integers(2, 90),
    batch_size=st.integers(2, 20),
    accumulate=st.integers(1, 5),
    epoch=st.integers(1, 50),
)
def test_an_epoch_sees_every_image_once_in_even_steps(
    n: int, batch_size: int, accumulate: int, epoch: int
) -> None:
    config = tiny_config(batch_size=batch_size, accumulate=accumulate)
    steps = plan_epoch(labels_of(n, 1), config, 0, epoch, ALONE)
    assert sorted(row for row, _ in drawn(steps)) == list(range(n))
    assert len(steps) == -(-n // (batch_size * accumulate))
    sizes = [step.size for step in steps]
    assert max(sizes) - min(sizes) <= 1
    for step in steps:
        passes = [len(part.rows) for part in step.passes]
        assert sum(passes) == step.size
        assert max(passes) <= batch_size
        assert max(passes) - min(passes) <= 1


@settings(deadline=None)
@given(n=st.integers(2, 60), world_size=st.integers(1, 5), accumulate=st.integers(1, 3))
def test_the_number_of_processes_changes_nothing_that_is_drawn(
    n: int, world_size: int, accumulate: int
) -> None:
    config = tiny_config(accumulate=accumulate)
    labels = labels_of(n, n // 2)
    alone = plan_epoch(labels, config, 3, 2, ALONE)
    ranks: list[Workers] = [ProcessGroup(r, world_size, r) for r in range(world_size)]
    shared = [plan_epoch(labels, config, 3, 2, rank) for rank in ranks]
    for number, step in enumerate(alone):
        for position, part in enumerate(step.passes):
            slices = [plan[number].passes[position] for plan in shared]
            np.testing.assert_array_equal(np.concatenate([s.rows for s in slices]), part.rows)
            np.testing.assert_array_equal(np.concatenate([s.seeds for s in slices]), part.seeds)
        assert {plan[number].size for plan in shared} == {step.size}


def test_epochs_and_seeds_draw_anew_and_repeatably() -> None:
    labels = labels_of(40, 10)
    plans = {
        (seed, epoch): drawn(plan_epoch(labels, tiny_config(), seed, epoch, ALONE))
        for seed in (0, 1)
        for epoch in (1, 2)
    }
    assert len({tuple(plan) for plan in plans.values()}) == 4
    assert drawn(plan_epoch(labels, tiny_config(), 1, 2, ALONE)) == plans[1, 2]
    seeds = [seed for plan in plans.values() for _, seed in plan]
    assert len(set(seeds)) == len(seeds)


def test_weighted_sampling_draws_both_classes_equally_often() -> None:
    labels = labels_of(200, 10)
    config = tiny_config(weighted_sampling=True)
    rows = np.array(
        [r for epoch in range(30) for r, _ in drawn(plan_epoch(labels, config, 0, epoch, ALONE))]
    )
    assert len(rows) == 30 * 200
    assert labels[rows].mean() == pytest.approx(0.5, abs=0.03)
    times = np.bincount(rows, minlength=200)
    assert times[:10].mean() == pytest.approx(300, rel=0.1)
    assert times[10:].mean() == pytest.approx(3000 / 190, rel=0.1)


def test_an_image_drawn_twice_is_varied_twice() -> None:
    config = tiny_config(weighted_sampling=True)
    plan = drawn(plan_epoch(labels_of(50, 1), config, 0, 1, ALONE))
    seeds_of_the_event = {seed for row, seed in plan if row == 0}
    assert len(seeds_of_the_event) == sum(row == 0 for row, _ in plan) > 5


@pytest.mark.parametrize("size", [32, 288])
def test_workers_change_no_byte(size: int) -> None:
    data = pictures(10, 0, size)

    def epoch(workers: int, threads: int) -> list[bytes]:
        config = tiny_config(batch_size=4)
        augment = augmenter(config.augment, size)
        steps = plan_epoch(data.labels, config, 5, 1, ALONE)
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        passes = list(load_passes(data, passes_of(steps), augment, workers, CPU))
        torch.set_num_threads(before)
        assert sum(len(labels) for _, labels in passes) == 10
        return [t.contiguous().numpy().tobytes() for pair in passes for t in pair]

    alone = epoch(0, 1)
    assert epoch(1, 1) == alone
    assert epoch(2, 1) == alone
    assert epoch(0, 2) == alone


def test_labels_go_with_their_pictures_and_seeds() -> None:
    data = pictures(9, 0)
    config = tiny_config(batch_size=4)
    augment = augmenter(config.augment, 32)
    steps = plan_epoch(data.labels, config, 0, 1, ALONE)
    passes = load_passes(data, passes_of(steps), augment, 0, CPU)
    for step in steps:
        for part in step.passes:
            pixels, labels = next(passes)
            np.testing.assert_array_equal(labels.numpy(), data.labels[part.rows])
            for varied, row, seed in zip(pixels, part.rows, part.seeds, strict=True):
                square = torch.from_numpy(data.squares[row]).permute(2, 0, 1)
                assert torch.equal(varied, augment(square, int(seed)))


def test_a_process_without_a_part_gets_an_empty_pass_of_the_same_shape() -> None:
    data = pictures(2, 0)
    config = tiny_config(batch_size=2)
    steps = plan_epoch(data.labels, config, 0, 1, ProcessGroup(2, 3, 2))
    ((pixels, labels),) = load_passes(data, passes_of(steps), augmenter(config.augment, 32), 0, CPU)
    assert tuple(pixels.shape) == (0, 3, 32, 32)
    assert tuple(labels.shape) == (0,)


def test_squares_of_the_cache_stay_read_only() -> None:
    data = pictures(4, 0)
    for square in data.squares:
        square.flags.writeable = False
    kept = [square.copy() for square in data.squares]
    config = tiny_config()
    steps = plan_epoch(data.labels, config, 0, 1, ALONE)

    def spoil(picture: torch.Tensor, seed: int) -> torch.Tensor:
        return picture.zero_()

    assert len(list(load_passes(data, passes_of(steps), spoil, 0, CPU))) == 1
    assert all(np.array_equal(a, b) for a, b in zip(kept, data.squares, strict=True))
