"""Numbers about a running server in the text form of Prometheus."""

import threading
from collections import defaultdict
from collections.abc import Mapping

import incdet

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ServerMetrics:
    """Counts requests and adds up seconds; several threads may tell it about them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, int], int] = defaultdict(int)
        self._stage_seconds: dict[str, float] = defaultdict(float)
        self._stage_counts: dict[str, int] = defaultdict(int)

    def count_request(self, path: str, status: int) -> None:
        """Counts a request.

        Args:
            path: The path as the server knows it; paths that it does not know share one.
            status: Status of the response.
        """
        with self._lock:
            self._requests[path, status] += 1

    def add_stages(self, seconds: Mapping[str, float]) -> None:
        """Adds the seconds of each stage of one photo."""
        with self._lock:
            for stage, value in seconds.items():
                self._stage_seconds[stage] += value
                self._stage_counts[stage] += 1

    def text(self, num_photos: int, num_waiting: int, max_photos: int) -> str:
        """Returns all numbers.

        Args:
            num_photos: Number of photos that are uploaded, wait or are computed.
            num_waiting: Number of photos that wait for the worker.
            max_photos: Largest number of photos at a time.
        """
        with self._lock:
            requests = sorted(self._requests.items())
            stages = sorted(self._stage_seconds.items())
            counts = dict(self._stage_counts)
        lines = _described("incdet_info", "gauge", "Version of incdet.")
        lines.append(f'incdet_info{{version="{incdet.__version__}"}} 1')
        lines += _described("incdet_requests_total", "counter", "Requests by path and status.")
        lines += [f'incdet_requests_total{{path="{path}",status="{status}"}} {n}' for (path, status), n in requests]
        lines += _described("incdet_stage_seconds", "summary", "Seconds of photos in each stage.")
        for stage, seconds in stages:
            lines.append(f'incdet_stage_seconds_sum{{stage="{stage}"}} {seconds:.6f}')
            lines.append(f'incdet_stage_seconds_count{{stage="{stage}"}} {counts[stage]}')
        gauges = (
            ("incdet_photos", "Photos that are uploaded, wait or are computed.", num_photos),
            ("incdet_photos_waiting", "Photos that wait for the worker.", num_waiting),
            ("incdet_photos_limit", "Largest number of photos at a time.", max_photos),
        )
        for name, meaning, value in gauges:
            lines += [*_described(name, "gauge", meaning), f"{name} {value}"]
        return "\n".join(lines) + "\n"


def _described(name: str, kind: str, meaning: str) -> list[str]:
    return [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
