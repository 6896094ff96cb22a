"""What the companion counts, for `GET /companion/metrics`. No account and no image is a label."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Measures:
    """The counters of one companion."""

    def __init__(self) -> None:
        self.registry = of = CollectorRegistry()
        self.requests = Counter(
            "synthscars_requests", "Requests answered.", ["route", "method", "status"], registry=of
        )
        self.seconds = Histogram(
            "synthscars_request_seconds",
            "Time until a request was answered as a whole; of the guard with Label Studio's own.",
            ["route"],
            buckets=_SECONDS,
            registry=of,
        )
        self.refused = Counter("synthscars_images_refused", "Images not handed out.", ["why"], registry=of)
        self.hints = Counter("synthscars_hints", "Events that Label Studio told of.", ["action"], registry=of)
        self.label_studio_up = Gauge(
            "synthscars_label_studio_up", "1: it answered when last asked.", registry=of
        )
        self.pulls = Counter(
            "synthscars_reconciliations", "Pulls on our own account.", ["outcome"], registry=of
        )
        self.pull_failures = Gauge(
            "synthscars_reconciliation_failures",
            "Pulls that failed since the last that did not.",
            registry=of,
        )
        self.pull_at = Gauge(
            "synthscars_reconciliation_last_success_seconds",
            "When, in seconds since 1970; 0: never.",
            registry=of,
        )
        self.pull_seconds = Gauge(
            "synthscars_reconciliation_seconds", "How long the last one took.", registry=of
        )

    def text(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self.registry)
