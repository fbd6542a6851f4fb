"""A network whose tensors follow from their names, as the reference answers were computed with."""

import zlib

import numpy as np
import pytest
import torch

from ssat.detection.network import CenterNetwork, load_network


def filled(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The rule of the reference: drawn from the name, scaled by what kind of tensor it is."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    x = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if name.endswith("running_var"):
        x = 1 + 0.2 * np.abs(x)
    elif name.endswith("running_mean"):
        x = 0.1 * x
    elif len(shape) == 4:
        x = x * np.float32(np.sqrt(2 / np.prod(shape[1:])))
    elif len(shape) == 1 and name.endswith(".weight"):
        x = 1 + 0.1 * x
    else:
        x = 0.02 * x
    return torch.from_numpy(np.asarray(x, np.float32))


@pytest.fixture(scope="session")
def state_dict() -> dict[str, torch.Tensor]:
    """Name → tensor."""
    torch.set_num_threads(1)
    with torch.device("meta"):
        expected = CenterNetwork().state_dict()
    return {name: filled(name, tuple(tensor.shape)) for name, tensor in expected.items()}


@pytest.fixture(scope="session")
def network(state_dict: dict[str, torch.Tensor]) -> CenterNetwork:
    """The network with them."""
    return load_network(state_dict)
