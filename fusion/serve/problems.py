"""Errors of the service as one-line JSON in the form of RFC 9457."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import pydantic
from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """A request that gets no answer but this.

    Attributes:
        status: HTTP status.
        detail: One line: what is wrong, and what to do.
        headers: Further headers of the response.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = " ".join(detail.split())
        self.headers = dict(headers or {})


class ProblemOut(pydantic.BaseModel):
    """An error.

    Attributes:
        type: Always `about:blank`: the status says the kind.
        title: Name of the status.
        status: HTTP status.
        detail: One line for people.
    """

    type: str
    title: str
    status: int
    detail: str


def problem_response(problem: Problem) -> JSONResponse:
    """The response of a problem."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }
    return JSONResponse(content, problem.status, problem.headers, media_type=MEDIA_TYPE)
