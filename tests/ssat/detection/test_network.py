import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import deform_conv2d

from ssat.detection import load_network
from ssat.detection.layers import gathered_deform_conv
from ssat.detection.network import HEADS, CenterNetwork, folded
from ssat.errors import InputError


@pytest.mark.real_data
def test_names_and_shapes_are_those_published(real_data: Path, network: CenterNetwork) -> None:
    with (real_data / "centertrack" / "parameters.csv").open() as file:
        published = {row["name"]: row["shape"] for row in csv.DictReader(file)}
    ours = {
        name: "x".join(str(side) for side in tensor.shape) or "scalar" for name, tensor in network.state_dict().items()
    }
    assert ours == published
    assert sum(parameter.numel() for parameter in network.parameters()) == 19_955_755


@pytest.mark.real_data
@pytest.mark.parametrize("prepared", [lambda network: network, folded], ids=["as loaded", "folded"])
def test_answers_are_those_of_the_published_network(real_data: Path, network: CenterNetwork, prepared) -> None:
    reference = np.load(real_data / "centertrack" / "parity.npz")
    given = [torch.from_numpy(reference[name]) for name in ("image", "previous_image", "prior_heatmap")]
    with torch.inference_mode():
        for prefix, inputs in (("with_prior", given), ("image_only", given[:1])):
            answer = prepared(network)(*inputs)
            assert set(answer) == set(HEADS)
            for head, value in answer.items():
                np.testing.assert_allclose(value.numpy(), reference[f"{prefix}_{head}"], atol=1e-4)


def test_a_head_at_some_places_is_its_map_there(network: CenterNetwork) -> None:
    finest = torch.randn(2, 64, 9, 13, generator=torch.Generator().manual_seed(0))
    batch, y, x = torch.tensor([0, 1, 1, 0]), torch.tensor([0, 8, 4, 3]), torch.tensor([0, 12, 6, 12])
    for name in HEADS:
        expected = network.get_submodule(name)(finest)[batch, :, y, x]
        torch.testing.assert_close(network.head_at(name, finest, batch, y, x), expected, atol=1e-5, rtol=1e-5)
    assert network.head_at("hm", finest, batch[:0], y[:0], x[:0]).shape == (0, 1)


@pytest.mark.parametrize("reach", [0.3, 3.0, 1e6])
def test_the_gathered_deformable_convolution_is_torchvisions(reach: float) -> None:
    random = torch.Generator().manual_seed(1)
    x = torch.randn(2, 8, 7, 11, generator=random)
    offset = reach * torch.randn(2, 18, 7, 11, generator=random)
    mask = torch.rand(2, 9, 7, 11, generator=random)
    weight, bias = torch.randn(5, 8, 3, 3, generator=random), torch.randn(5, generator=random)
    expected = deform_conv2d(x, offset, weight, bias, padding=1, mask=mask)
    torch.testing.assert_close(gathered_deform_conv(x, offset, mask, weight, bias), expected, atol=1e-4, rtol=1e-4)


def test_a_leading_module_is_stripped_and_nothing_is_shared(state_dict: dict[str, torch.Tensor]) -> None:
    given = {f"module.{name}": tensor.clone() for name, tensor in state_dict.items()}
    network = load_network(given)
    assert not network.training
    given["module.hm.2.bias"] += 5
    torch.testing.assert_close(network.state_dict()["hm.2.bias"], state_dict["hm.2.bias"])


@pytest.mark.parametrize("what", ["missing", "unexpected", "another shape", "coco", "no tensor", "no name", "not finite"])
def test_what_does_not_fit_is_named(what: str, state_dict: dict[str, torch.Tensor]) -> None:
    given = dict(state_dict)
    match what:
        case "missing":
            del given["base.level3.project.0.weight"]
            message = r"missing: base.level3.project.0.weight;"
        case "unexpected":
            given["dep.0.weight"] = torch.zeros(1)
            message = r"unexpected: dep.0.weight;"
        case "another shape":
            given["wh.2.bias"] = torch.zeros(3)
            message = r"wh.2.bias is 3, expected 2;"
        case "coco":
            given["hm.2.weight"], given["hm.2.bias"] = torch.zeros(80, 256, 1, 1), torch.zeros(80)
            message = r"hm.2.weight is 80x256x1x1, expected 1x256x1x1.*COCO's 80 classes.*pedestrians alone"
        case "no name":
            given[7] = torch.zeros(1)  # type: ignore[index]
            message = r"unexpected: 7;"
        case "not finite":
            given["reg.2.bias"] = torch.tensor([0.0, float("nan")])
            message = r"not finite: reg.2.bias"
        case _:
            given["epoch"] = 70  # type: ignore[assignment]
            message = r"epoch: no tensor"
    with pytest.raises(InputError, match=message):
        load_network(given)
