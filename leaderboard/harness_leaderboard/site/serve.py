"""The site on this machine: written again when runs end, with the stages that train now."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.store.live import live_stages
from harness.studies.standing import verified_records
from harness.terminal import note, visible_in
from harness_leaderboard.published import load_published
from harness_leaderboard.site.pages import Site
from harness_leaderboard.site.write import write_site

HOST = "127.0.0.1"
LIVE_PAGE, LIVE_DATA = "/live.html", "/live.json"
LOOK_SECONDS = 2.0  # between two looks at the records


class Server:
    """Serves the site of a home from ``folder``, to this machine only.

    Raises HarnessError if the port is taken.
    """

    def __init__(self, home: Path, folder: Path, port: int) -> None:
        self._home, self._folder = home, folder
        self._stamp: object = None
        self._ended = threading.Event()
        self.refresh()
        handler = partial(_Pages, directory=str(folder), home=home)
        try:
            self._http = ThreadingHTTPServer((HOST, port), handler)
        except OSError as error:
            raise HarnessError(
                f"--port {port} cannot be used: {error.strerror}; choose another, or 0 for any"
            ) from error

    @property
    def address(self) -> str:
        """Where the site is."""
        return f"http://{HOST}:{self._http.server_port}/"

    def refresh(self) -> None:
        """Write the site again if a record came or went."""
        stamp = _stamp(self._home)
        if stamp != self._stamp:
            found = verified_records(self._home, (), lambda _: None)
            site = Site(
                self._home,
                found.records,
                unverified=found.unverified,
                problems=found.problems,
                origins=found.origins,
                published=load_published(),
                live=True,
            )
            write_site(site, self._folder)
            self._stamp = stamp

    def run(self) -> None:
        """Answer until ``stop`` is called, or Ctrl-C ends it."""
        watch = threading.Thread(target=self._watch, daemon=True)
        watch.start()
        try:
            self._http.serve_forever(poll_interval=0.2)
        finally:
            self._ended.set()
            watch.join()
            self._http.server_close()

    def stop(self) -> None:
        """End ``run``, called in another thread."""
        self._http.shutdown()

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            try:
                self.refresh()
            # A damaged record, or one that goes just now, must not end the server.
            except (HarnessError, OSError) as error:
                note(error)


def _stamp(home: Path) -> Sequence[tuple[str, int]]:
    paths = (home / "records").glob("*.json")
    return sorted((path.name, path.stat().st_mtime_ns) for path in paths)


class _Pages(SimpleHTTPRequestHandler):
    """Files of the site, and what trains now as JSON."""

    def __init__(self, *args: Any, home: Path, **kw: Any) -> None:
        self._home = home
        super().__init__(*args, **kw)

    def do_GET(self) -> None:
        """Answer a request for a page or for what trains now."""
        self._answer(super().do_GET)

    def do_HEAD(self) -> None:
        """Answer without the content."""
        self._answer(super().do_HEAD)

    def _answer(self, page: Callable[[], None]) -> None:
        # A page of the web may not read this one under another name of this machine.
        name = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if name not in (HOST, "localhost"):
            self.send_error(403, "this site answers to this machine only")
        elif self.path.partition("?")[0] == LIVE_DATA:
            self._live()
        else:
            page()

    def _live(self) -> None:
        content = json.dumps(visible_in(list(live_stages(self._home)))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def end_headers(self) -> None:
        """Let nothing be kept: pages change when runs end."""
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        """List nothing."""
        del path
        self.send_error(404)

    def log_message(self, *_: Any) -> None:
        """Say nothing of single requests."""
