"""Puts parts together into one application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from prismlib.serve.access import Access
from prismlib.serve.answers import json_response
from prismlib.serve.guarding import Guard
from prismlib.serve.problems import Problem

ERROR_MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
"""Of all parts: clients of the registry look at it, and nobody else does."""
UNPROCESSABLE: Final = 42201
INTERNAL: Final = 500


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that the server does.

    Attributes:
        name: as in ``prism serve --only NAME``.
        routers: its routes, each with the path that clients know.
        close: called once, after the last request.
    """

    name: str
    routers: Sequence[APIRouter]
    close: Callable[[], None]


def build_application(parts: Sequence[Part], access: Access) -> ASGIApp:
    """One application of these parts, guarded."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for part in parts:
            part.close()

    # No pages about the interface: they would load scripts from elsewhere.
    app = FastAPI(lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    for part in parts:
        for router in part.routers:
            app.include_router(router)

    @app.exception_handler(Problem)
    async def _problem(_: Request, problem: Problem) -> Response:
        return _error(problem.code, problem.message, problem.status)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return _error(UNPROCESSABLE, f"{place[:200]}: {first['msg'][:200]}", 422)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> Response:
        return _error(error.status_code, f"HTTP {error.status_code} {error.detail}", error.status_code)

    @app.exception_handler(Exception)  # and raised again afterwards, so that the guard can log it
    async def _failed(*_: object) -> Response:
        return _error(INTERNAL, "Internal server error; the server's log says more.", INTERNAL)

    return Guard(app, access, ERROR_MEDIA_TYPE)


def _error(code: int, message: str, status: int) -> Response:
    return json_response({"error_code": code, "message": message}, status, ERROR_MEDIA_TYPE)
