"""Two processes of `torchrun` take the steps of one, within rounding."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch.multiprocessing as mp
from finetune_example import (
    TINY,
    Interrupting,
    finetune_as_rank,
    tiny_config,
    train_as_rank,
    train_watched,
    write_samples,
)
from processes_example import free_port

from extractor.distributed import ALONE
from extractor.finetune import Workplace, finetune


@pytest.mark.slow
def test_gradients_are_those_of_one_process(tmp_path: Path) -> None:
    """With 17 images in passes of 3, a rank's slices differ in size, and so do the ranks'."""
    trainings = {
        n: tiny_config(epochs=2, batch_size=batch_size, accumulate=2, ema_decay=0.9)
        for n, batch_size in ((22, 8), (17, 3))
    }
    mp.spawn(train_as_rank, args=(2, free_port(), trainings, str(tmp_path)), nprocs=2)
    for n, config in trainings.items():
        alone, steps = train_watched(config, tmp_path / "alone", ALONE, n)
        first, second = (np.load(tmp_path / f"{n}" / f"rank{rank}.npz") for rank in range(2))
        assert len(first.files) == 1 + sum(len(step) for step in steps)
        for name in first.files:
            np.testing.assert_array_equal(first[name], second[name])
        for j, gradient in enumerate(steps[0]):  # before rounding has gone through an optimiser
            limit = 1e-4 * (np.abs(gradient).max() + 1e-6)
            np.testing.assert_allclose(first[f"0-{j}"], gradient, rtol=0, atol=limit)
        expected = np.array([row.score for row in alone.history])
        np.testing.assert_allclose(first["scores"], expected, rtol=1e-2)
        shutil.rmtree(tmp_path / "alone")


@pytest.mark.slow
def test_two_processes_go_on_from_one_and_both_know_the_result(tmp_path: Path) -> None:
    config = tiny_config(epochs=3, patience=9)
    parts = write_samples(tmp_path, 22, "training", 1), write_samples(tmp_path, 12, "validation", 2)
    with pytest.raises(KeyboardInterrupt):
        finetune(*parts, TINY, config, 0, Workplace(tmp_path, tmp_path / "ft", Interrupting(50)))
    begun = {p.stem for p in (tmp_path / "ft" / "checkpoints").glob("epoch-*.json")}
    assert begun == {"epoch-0001", "epoch-0002"}
    arguments = (2, free_port(), parts, config, str(tmp_path))
    mp.spawn(finetune_as_rank, args=arguments, nprocs=2)
    told = [(tmp_path / f"rank{rank}.txt").read_text() for rank in range(2)]
    resumed = finetune(*parts, TINY, config, 0, Workplace(tmp_path, tmp_path / "ft"))
    assert told == [repr(resumed)] * 2
    alone = finetune(*parts, TINY, config, 0, Workplace(tmp_path, tmp_path / "alone"))
    assert resumed.history[:2] == alone.history[:2]
    assert resumed.history[2].score == pytest.approx(alone.history[2].score, rel=1e-3)
