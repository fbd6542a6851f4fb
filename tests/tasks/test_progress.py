import threading

from tasks import progress


def test_a_bar_writes_to_standard_error_alone(capfd):
    with progress.progress_bar("clips", 3) as advance:
        for _ in range(3):
            advance()
    output, errors = capfd.readouterr()
    assert output == ""
    assert "clips" in errors
    assert "3/3" in errors


def test_bars_of_nested_stages_share_the_terminal(capfd):
    with progress.progress_bar("outer", 2) as outer:
        with progress.progress_bar("inner", 5) as inner:
            inner(5)
        outer(2)
    errors = capfd.readouterr().err
    assert "2/2" in errors
    assert "5/5" in errors
    assert progress._display is None


def test_bars_may_be_advanced_from_threads(capfd):
    with progress.progress_bar("frames", 400) as advance:
        threads = [threading.Thread(target=lambda: [advance() for _ in range(100)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert "400/400" in capfd.readouterr().err


def test_work_that_counts_by_itself_opens_and_closes_its_bar(capfd):
    progress.show_progress(1, 4, "steps")
    assert progress._display is not None
    progress.show_progress(4, 4, "steps")
    assert progress._display is None
    progress.show_progress(4, 4, "steps")  # told twice: no second bar
    assert progress._display is None
    assert capfd.readouterr().err.count("4/4") == 1


def test_a_bar_left_open_by_work_that_failed_is_closed(capfd):
    progress.show_progress(1, 4, "steps")
    progress.close_progress()
    assert progress._display is None
    assert "1/4" in capfd.readouterr().err
