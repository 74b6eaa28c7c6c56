"""The application: routes, and how a request becomes a score."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import time
from collections.abc import AsyncIterator, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response

from featurestore.errors import DataError, MelafuseError
from fusion.bundle.archive import Bundle
from fusion.models import single_thread
from fusion.predict.batch import Prepared
from fusion.predict.cases import Case
from fusion.predict.explain import explain_record
from fusion.predict.predictor import Predictor
from fusion.predict.result import prediction_record
from fusion.serve.batching import Batcher, Overloaded
from fusion.serve.decoding import QUICK_PROCESSES, SLOW_WAITING, Decoders
from fusion.serve.guard import Guard
from fusion.serve.limits import Limits
from fusion.serve.measures import MEDIA_TYPE as METRICS_TYPE
from fusion.serve.measures import Measures
from fusion.serve.models import PREDICTIONS, HealthOut, SchemaOut, request_body, schema_out
from fusion.serve.page import api_page, page, policy
from fusion.serve.problems import MEDIA_TYPE, Problem, ProblemOut, problem_response
from fusion.serve.uploads import Arriving, Upload, read_upload

ROUTES = ("/", "/health", "/metrics", "/docs", "/openapi.json", "/v1/predict", "/v1/schema")
_CLOSING_SECONDS = 3.0
_DECODING_THREADS = QUICK_PROCESSES + SLOW_WAITING
"""Each waits for a process that decodes."""


@dataclasses.dataclass(frozen=True)
class _Job:
    prepared: Prepared
    explain: bool


class Service:
    """A predictor that many requests share.

    Attributes:
        predictor: The bundle at work.
        limits: Bounds of requests.
        measures: What is counted.
        in_flight: Predictions that wait for their answer.
        ending: Set when what still waits is to be answered 503.
    """

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        """Starts the threads that decode and compute."""
        self.predictor = predictor
        self.limits = limits
        self.in_flight = 0
        self.measures = Measures(predictor.bundle.digest, lambda: self.in_flight)
        size = max(4, predictor.encoders.batch_size)
        self.ending = asyncio.Event()
        self._arriving = Arriving(self.limits)
        encoders = predictor.encoders
        self._decoders = Decoders(encoders.geometries, limits.pixels, encoders.max_pixels)
        self._decoding = ThreadPoolExecutor(_DECODING_THREADS, thread_name_prefix="decode")
        self._checking = ThreadPoolExecutor(1, thread_name_prefix="check")
        self._batcher = Batcher[_Job, dict[str, Any]](
            self._score, size, limits.waiting, single_thread
        )
        self._seconds = 0.1  # a prediction, lately

    def close(self) -> None:
        """Ends processes and threads; what still waits by now has been answered."""
        self._decoders.close()
        self._batcher.close(_CLOSING_SECONDS)
        self._decoding.shutdown(wait=False, cancel_futures=True)
        self._checking.shutdown(wait=False, cancel_futures=True)

    async def predict(self, request: Request, explain: bool) -> dict[str, Any]:
        """Answers one request.

        Raises:
            Problem: It cannot be answered.
        """
        work = asyncio.ensure_future(self._predict(request, explain))
        ended = asyncio.ensure_future(self.ending.wait())
        try:
            await asyncio.wait({work, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise Problem(503, "the service is ending", {"retry-after": "60"})
            return work.result()
        finally:
            work.cancel()
            ended.cancel()

    async def _predict(self, request: Request, explain: bool) -> dict[str, Any]:
        upload = await read_upload(request, self.limits, self._arriving)
        # Counted from here on: a body that crawls in keeps nobody from being answered.
        if self.in_flight >= self.limits.waiting:
            raise self._busy()
        self.in_flight += 1
        started = time.perf_counter()
        try:
            prepared = await self._prepare(upload, explain)
            record = await asyncio.wrap_future(self._batcher.submit(_Job(prepared, explain)))
        except Overloaded:
            raise self._busy() from None
        finally:
            self.in_flight -= 1
        passed = time.perf_counter() - started
        self._seconds += 0.1 * (passed / (self.in_flight + 1) - self._seconds)
        return record

    async def _prepare(self, upload: Upload, explain: bool) -> Prepared:
        loop = asyncio.get_running_loop()
        case = await loop.run_in_executor(self._checking, self._case, upload)
        if not case.pictures:
            return Prepared(case, ())
        return await loop.run_in_executor(self._decoding, self._decoded, case, explain)

    def _case(self, upload: Upload) -> Case:
        try:
            case = self.predictor.case(upload.values, upload.images, roles=upload.roles)
            self.predictor.require_something(case)
        except DataError as error:
            raise Problem(422, str(error)) from None
        return case

    def _decoded(self, case: Case, explain: bool) -> Prepared:
        squares = []
        for k, picture in enumerate(case.pictures):
            made, was_quick = self._decoders.decode(picture.read(), k + 1)
            if explain and not was_quick:
                raise Problem(422, f"image {k + 1}: it is too slow to decode to be explained")
            squares.append(made)
        return Prepared(case, tuple(squares) if self.predictor.encoders.loaded else ())

    def _score(self, jobs: Sequence[_Job]) -> list[dict[str, Any]]:
        self.measures.batches.observe(len(jobs))
        scored = self.predictor.score([job.prepared for job in jobs])
        records = []
        for job, prediction in zip(jobs, scored, strict=True):
            record = prediction_record(prediction, self.predictor.bundle)
            del record[self.predictor.bundle.record.id_column]  # the service is told of none
            if job.explain:
                record["explanation"] = explain_record(self.predictor, job.prepared)
            records.append(record)
        return records

    def _busy(self) -> Problem:
        wait = max(1, math.ceil(self._seconds * self.limits.waiting))
        return Problem(
            503,
            f"{self.limits.waiting} predictions wait already; try again in {wait} s",
            {"retry-after": str(wait)},
        )


def make_app(
    predictor: Predictor,
    limits: Limits | None = None,
    token: str | None = None,
    hosts: Collection[str] | None = None,
) -> FastAPI:
    """Builds the application.

    Args:
        predictor: The bundle at work.
        limits: Bounds of requests.
        token: What requests must carry; None asks for none.
        hosts: Names that a `Host` header may have; None takes all.
    """
    service = Service(predictor, limits or Limits())
    bundle = predictor.bundle

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title=f"melafuse: {bundle.record.name}",
        version=bundle.short,
        description=f"{bundle.record.disclaimer} {bundle.record.watermark}".strip(),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    _add_routes(app, service, bundle)
    app.add_middleware(Guard, token=token, hosts=hosts, routes=ROUTES, measures=service.measures)
    return app


def _add_routes(app: FastAPI, service: Service, bundle: Bundle) -> None:
    schema = schema_out(bundle, service.limits)
    front, documents = page(schema), api_page(app)
    refusals = _refusals(400, 401, 408, 413, 415, 421, 422, 500, 503)

    @app.post(
        "/v1/predict",
        summary="Score one patient",
        response_model=PREDICTIONS[bundle.record.kind],
        responses=refusals,
        openapi_extra={"requestBody": request_body(bundle)},
    )
    async def predict(request: Request, explain: bool = False) -> JSONResponse:
        """Needs an image, metadata, or both. `explain` adds overlays and contributions."""
        return JSONResponse(await service.predict(request, explain))

    @app.get("/v1/schema", summary="What the bundle takes", responses=_refusals(401, 421))
    async def describe() -> SchemaOut:
        """Inputs with units, levels and ranges; outcome, caveats and performance."""
        return schema

    @app.get("/health", summary="Whether the service answers", responses=_refusals(421))
    async def health() -> HealthOut:
        """Needs no token."""
        return HealthOut(status="ok", bundle=bundle.digest)

    @app.get("/metrics", summary="Counters for Prometheus", include_in_schema=False)
    async def metrics() -> Response:
        return Response(service.measures.text(), media_type=METRICS_TYPE)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> JSONResponse:
        return JSONResponse(app.openapi())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(documents(), headers=policy(documents()))

    @app.get("/", include_in_schema=False)
    async def home() -> HTMLResponse:
        return HTMLResponse(front, headers=policy(front))

    @app.exception_handler(Problem)
    async def problem(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return problem_response(error)

    @app.exception_handler(MelafuseError)
    async def refused(_: Request, error: Exception) -> JSONResponse:
        return problem_response(Problem(422, str(error)))

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return problem_response(Problem(error.status_code, str(error.detail), error.headers))

    _explain_wrong_query(app)


def _explain_wrong_query(app: FastAPI) -> None:
    from fastapi.exceptions import RequestValidationError

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return problem_response(Problem(422, f"{where}: {first['msg']}"))


def _refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    content = {MEDIA_TYPE: {"schema": ProblemOut.model_json_schema()}}
    return {code: {"description": "A problem", "content": content} for code in codes}
