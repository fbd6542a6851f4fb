import math

import pytest

from ssat.studies.intervals import Interval, confidence_interval


def test_students_interval_by_hand():
    # Deviation 1, three values: 4.303 (Student's t with 2 degrees of freedom) over the square root of 3.
    interval = confidence_interval([1.0, 2.0, 3.0])
    assert (interval.mean, interval.n) == (2.0, 3)
    assert interval.half == pytest.approx(4.3027 / math.sqrt(3), abs=1e-4)
    assert confidence_interval([1.0, 2.0, 3.0], 0.5).half < interval.half
    assert confidence_interval([0.7, 0.7]) == Interval(0.7, 0.0, 2)


def test_one_value_has_no_interval_and_none_no_mean():
    assert math.isnan(confidence_interval([0.5]).half)
    with pytest.raises(ValueError, match="no values"):
        confidence_interval([])
