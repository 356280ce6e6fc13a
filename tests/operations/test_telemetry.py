"""OpenTelemetry: one span a request, sent to a collector, with the route and nothing secret."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.conftest import Server
from tests.support.wire import KEY
from tests.test_cli import served, until

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(ThreadingHTTPServer):
    """Takes what is exported to it, on the loopback."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiving)
        self.bodies: list[bytes] = []

    def spans(self) -> list[Any]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [span for r in requests for of in r.resource_spans for scope in of.scope_spans for span in scope.spans]


class Receiving(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:  # the library's name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces":
            self.server.bodies.append(body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def collecting() -> Iterator[tuple[Collector, dict[str, str]]]:
    """A collector, and the variables that send a service's telemetry to it."""
    with Collector() as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{collector.server_port}"
        yield collector, {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        collector.shutdown()


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def test_a_request_is_one_span_with_its_route_and_nothing_secret(server: Server, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with collecting() as (collector, variables):
        with served(
            server.fresh("seeded"), "--no-seed", log=log, variables=variables, telemetry="true", log_format="json"
        ) as (_, client):
            headers = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
            client.get("/v1/organizations/oecd", headers=headers)
            client.get("/v1/organizations?limit=1&token=s3cr3t-query")
            client.get("/nowhere")
            until(lambda: len(collector.spans()) >= 3)
        spans = {attributes(span)["url.path"]: span for span in collector.spans()}
        assert len(collector.spans()) == len(spans) == 3  # health is none of them
        secrets = (b"s3cr3t", KEY.encode())
        assert not [body for body in collector.bodies if any(secret in body for secret in secrets)]
    one, many, nowhere = (spans[path] for path in ("/v1/organizations/oecd", "/v1/organizations", "/nowhere"))
    assert one.name == "GET /v1/organizations/{organization_id}"
    assert attributes(one)["http.response.status_code"] == 200
    assert (one.trace_id.hex(), one.parent_span_id.hex()) == (TRACE, SPAN)
    assert attributes(many)["url.query"] == "REDACTED"
    assert nowhere.name == "GET"
    # The log names the trace that the collector has.
    text = log.read_text()
    assert all(span.trace_id.hex() in text for span in spans.values())


def test_a_kept_answer_is_a_span_like_any_other(server: Server) -> None:
    with collecting() as (collector, variables):
        with served(server.fresh("seeded"), "--no-seed", variables=variables, telemetry="true") as (_, client):
            for _ in range(4):
                client.get("/v1/organizations/oecd")
            until(lambda: len(collector.spans()) >= 4)
            assert "concord_kept_answers_given_total 2.0" in client.get("/metrics").text
        assert {span.name for span in collector.spans()} == {"GET /v1/organizations/{organization_id}"}
        assert {attributes(span)["http.route"] for span in collector.spans()} == {"/v1/organizations/{organization_id}"}


def test_without_the_setting_nothing_is_sent(server: Server) -> None:
    with collecting() as (collector, variables):
        with served(server.fresh("seeded"), "--no-seed", variables=variables) as (_, client):
            client.get("/v1/organizations/oecd")
        assert collector.bodies == []


def test_telemetry_that_cannot_be_sent_stops_nothing(server: Server) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "nonsense"}
    with served(server.fresh("seeded"), "--no-seed", variables=variables, telemetry="true") as (_, client):
        assert client.get("/v1/organizations/oecd").status_code == 200
