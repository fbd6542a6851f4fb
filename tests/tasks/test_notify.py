"""The webhook against a local HTTP server."""

import http.server
import json
import logging
import threading

import pytest

from tasks import notify as notifying
from tasks.notify import notify


@pytest.fixture
def webhook(monkeypatch):
    """A webhook with a secret in its address; what it was told, and the answers that it gives first."""
    told, answers = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = answers.pop(0) if answers else 200
            if status == 200:
                told.append((self.path, body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args): ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("SSAT_WEBHOOK_URL", f"http://127.0.0.1:{server.server_port}/hooks/SECRETPART")
    yield told, answers
    server.shutdown()
    server.server_close()


def test_the_webhook_is_told_in_a_form_that_chat_servers_show(webhook):
    told, _ = webhook
    assert notify("new-champion", "160 clips: version 1", clips=160)
    assert told == [
        ("/hooks/SECRETPART", {"text": "ssat: 160 clips: version 1", "event": "new-champion", "clips": 160})
    ]


def test_a_server_error_is_tried_again(webhook, monkeypatch):
    told, answers = webhook
    monkeypatch.setattr(notifying.time, "sleep", lambda seconds: None)
    answers += [500, 503]
    assert notify("failed", "x")
    assert len(told) == 1


@pytest.mark.parametrize("answer", [404, None])
def test_a_webhook_that_fails_is_a_warning_without_its_address(webhook, answer, monkeypatch, caplog):
    _, answers = webhook
    monkeypatch.setattr(notifying.time, "sleep", lambda seconds: None)
    if answer is None:
        monkeypatch.setenv("SSAT_WEBHOOK_URL", "http://127.0.0.1:9/hooks/SECRETPART")
    else:
        answers.append(answer)
    with caplog.at_level(logging.DEBUG):
        assert not notify("failed", "x")
    assert "failed" in caplog.text
    assert "SECRETPART" not in caplog.text


def test_an_address_that_is_none_is_not_repeated(monkeypatch, caplog):
    monkeypatch.setenv("SSAT_WEBHOOK_URL", "SECRETPART")
    with caplog.at_level(logging.DEBUG):
        assert not notify("failed", "x")
    assert "SECRETPART" not in caplog.text
