import pytest

from ssat.errors import InputError, SsatError, WorkspaceError
from tasks.failures import unwrap


def _raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:  # noqa: BLE001
        return caught


def test_an_error_is_its_own_origin():
    error = InputError("x")
    assert unwrap(error) is error


def test_other_errors_have_no_origin_here():
    assert unwrap(_raised(RuntimeError("y"), ValueError("z"))) is None


def test_the_cause_of_a_cause_is_found():
    origin = InputError("x")
    assert unwrap(_raised(RuntimeError("a"), _raised(RuntimeError("b"), origin))) is origin


def test_an_error_raised_while_handling_another_is_found_unless_suppressed():
    origin = WorkspaceError("first")
    error = KeyError("second")
    error.__context__ = origin
    assert unwrap(error) is origin
    error.__suppress_context__ = True  # what `raise … from None` says
    assert unwrap(error) is None


def test_members_of_a_group_are_looked_at():
    assert str(unwrap(ExceptionGroup("g", [ValueError("a"), InputError("b")]))) == "b"


def test_ray_task_errors_give_the_original_not_the_derived_class():
    from ray.exceptions import RayTaskError

    wrapped = RayTaskError("work", "remote traceback", InputError("bad clip"))
    derived = wrapped.as_instanceof_cause()
    assert isinstance(derived, SsatError)
    assert type(unwrap(derived)) is InputError
    assert str(unwrap(derived)) == "bad clip"
    assert str(unwrap(wrapped)) == "bad clip"


def test_ray_train_gives_the_failure_of_the_lowest_rank():
    from ray.train import WorkerGroupError

    failed = WorkerGroupError("failed", {1: InputError("of rank 1"), 0: InputError("of rank 0")})
    assert str(unwrap(failed)) == "of rank 0"


def test_a_ring_of_causes_ends():
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert unwrap(first) is None


@pytest.mark.parametrize("name", ["cause", "controller_failure"])
def test_carriers_are_followed(name):
    error = RuntimeError("outer")
    setattr(error, name, InputError("inner"))
    assert str(unwrap(error)) == "inner"
