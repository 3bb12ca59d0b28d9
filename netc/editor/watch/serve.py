"""The server behind `netc watch`: a page, its parts, and what changed as server-sent events. On 127.0.0.1 alone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.resources import files

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from watchfiles import Change, awatch

from netc.diagnostics.model import Fix, failure
from netc.editor.watch.follow import Event, Followed, State

HOST = "127.0.0.1"
ENDINGS = (".yaml", ".yml")
SETTLED, LATEST, TICK = 20, 200, 250
"""Milliseconds without another change after which files are read, since editors write in several steps; until when at
the latest; and how often files are looked at where the system tells of no change, as in some mounted folders."""
PARTS = {
    "": ("page.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
    "picture.js": ("picture.js", "text/javascript"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class OwnPagesOnly:
    """Answers nobody but the page itself.

    A name of another site may lead to 127.0.0.1 (DNS rebinding), which the Host header tells; a page of another site
    may ask for what is here, which Origin and Sec-Fetch-Site tell.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self.app = app
        self.hosts = {f"{HOST}:{port}", f"localhost:{port}"}
        self.origins = {f"http://{host}" for host in self.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Request(scope).headers
            origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
            own = headers.get("host") in self.hosts and (origin is None or origin in self.origins)
            if not own or site not in ("none", "same-origin"):
                await PlainTextResponse("this request comes from another site", 403, HEADERS)(scope, receive, send)
                return
        await self.app(scope, receive, send)


class Watch:
    """A spec that is followed and the pages that listen."""

    def __init__(self, followed: Followed) -> None:
        self.followed = followed
        self.listeners: set[asyncio.Queue[Event | None]] = set()
        self.ended = False

    async def follow(self) -> None:
        """Look at the spec, and again whenever a spec in the folders that it is made of changes."""
        await self._look()
        while True:
            folders = self.followed.folders()
            ticks = awatch(
                *sorted(folders), watch_filter=_is_spec, recursive=False, step=SETTLED, debounce=LATEST,
                rust_timeout=TICK, yield_on_timeout=True,
            )  # fmt: skip
            with suppress(FileNotFoundError):  # a folder went before it was watched
                async for changes in ticks:
                    if changes or self.followed.is_changed():
                        await self._look()
                    if self.followed.folders() != folders:
                        break

    async def _look(self) -> None:
        pieces = self.followed.look()
        while (event := await asyncio.to_thread(next, pieces, None)) is not None:
            for listener in self.listeners:
                listener.put_nowait(event)

    async def events(self) -> AsyncIterator[bytes]:
        """What was told last, then what is told from now on."""
        listener: asyncio.Queue[Event | None] = asyncio.Queue()
        for event in [*self.followed.last.values()]:
            listener.put_nowait(event)
        self.listeners.add(listener)
        try:
            while not self.ended and (news := await listener.get()) is not None:
                yield _encoded(news)
        finally:
            self.listeners.discard(listener)

    def end(self) -> None:
        """Let go of the pages, which otherwise listen for ever."""
        self.ended = True
        for listener in self.listeners:
            listener.put_nowait(None)


def _is_spec(change: Change, path: str) -> bool:
    return path.endswith(ENDINGS)


def _encoded(event: Event) -> bytes:
    kind = b"state" if isinstance(event, State) else b"view"
    return b"event: " + kind + b"\ndata: " + msgspec.json.encode(event) + b"\n\n"


def application(watch: Watch, port: int, stop: Callable[[asyncio.Task[None]], None]) -> ASGIApp:
    """The page at `/`, its parts beside it, events at `/events`. stop: told when nothing is followed any more."""

    async def part(request: Request) -> Response:
        name, kind = PARTS[request.url.path[1:]]
        return Response(files("netc.editor.watch").joinpath(name).read_bytes(), 200, HEADERS, kind)

    async def events(request: Request) -> Response:
        return StreamingResponse(watch.events(), 200, HEADERS, "text/event-stream")

    @asynccontextmanager
    async def following(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(watch.follow())
        task.add_done_callback(stop)
        yield
        task.cancel()
        await asyncio.wait([task])

    routes = [Route(f"/{name}", part) for name in PARTS]
    app = Starlette(routes=[*routes, Route("/events", events)], lifespan=following)
    return OwnPagesOnly(app, port)


class _Server(uvicorn.Server):
    def __init__(self, watch: Watch, port: int) -> None:
        app = application(watch, port, self._stop)
        super().__init__(uvicorn.Config(app, log_level="critical", lifespan="on", timeout_graceful_shutdown=1))
        self.watch = watch
        self.failure: BaseException | None = None

    def _stop(self, task: asyncio.Task[None]) -> None:
        """Without anything to follow there is nothing to serve."""
        self.failure = None if task.cancelled() else task.exception()
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.watch.end()
        await super().shutdown(sockets)


def serve(followed: Followed, port: int, ready: Callable[[str], None]) -> None:
    """Serve until interrupted. port: 0 takes any that is free; ready: told the address. Raises NetcError for a port
    that is taken, KeyboardInterrupt."""
    with _listening(port) as listening:
        chosen = listening.getsockname()[1]
        ready(f"http://{HOST}:{chosen}/")
        server = _Server(Watch(followed), chosen)
        server.run([listening])
        if server.failure is not None:
            raise server.failure


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        fixes = (Fix("leave out `--port`, which takes any that is free"),)
        raise failure("cannot-listen", f"cannot listen on {HOST}:{port}: {reason}", fixes=fixes) from error
