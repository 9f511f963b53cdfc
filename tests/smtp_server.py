"""An SMTP server on loopback that keeps the mails it takes, or is as slow as a test tells it."""

from __future__ import annotations

import socketserver
import threading
from types import TracebackType
from typing import Self


class SmtpServer:
    """Takes every mail, with any password.

    Attributes:
        port: where it listens.
        mails: what it has taken, as text.
        logins: how clients logged in.
    """

    def __init__(self, pause: float = 0.0) -> None:
        """``pause``: seconds before each answer."""
        self.mails: list[str] = []
        self.logins: list[str] = []
        self.stopped = threading.Event()
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def say(self, text: str) -> None:
                server.stopped.wait(pause)
                self.wfile.write(f"{text}\r\n".encode())

            def handle(self) -> None:
                self.say("220 test")
                while line := self.rfile.readline().decode().strip():
                    word = line.upper()
                    if word.startswith("EHLO"):
                        self.say("250-test\r\n250 AUTH PLAIN")
                    elif word.startswith("AUTH"):
                        server.logins.append(line)
                        self.say("235 welcome")
                    elif word == "DATA":
                        self.say("354 go on")
                        lines = []
                        while (text := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                            lines.append(text)
                        server.mails.append("\n".join(lines))
                        self.say("250 taken")
                    elif word == "QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 well")

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *args: object) -> None:
                """A client that is ended while it waits is part of the tests."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
